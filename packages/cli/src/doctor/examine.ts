import {
  type AdapterDescription,
  AdapterError,
  type Capabilities,
  type Device,
  type DeviceLimits,
  openDevice,
} from "@mask-llava/runtime";
import {
  type AdapterCandidate,
  adviseOnEnvironment,
  createGpu,
  defaultMemoryBudget,
  inspectEnvironment,
  listAdapters,
  type MemoryBudget,
  nativeMessages,
  type OpenedAdapter,
  type VulkanEnvironment,
} from "@mask-llava/runtime/node";
import { type SelfTestResult, selfTest } from "./self-test.ts";

/** Everything that `mask-llava doctor` finds; printed as it is by `--json`. */
export interface DoctorReport {
  /** An adapter was opened and computed correctly. */
  readonly ok: boolean;
  readonly node: string;
  readonly environment: VulkanEnvironment;
  readonly adapters: readonly AdapterCandidate[];
  /** The adapter that `--adapter` means; null where none fits. */
  readonly adapter: AdapterReport | null;
  /** Why there is no adapter, or why the opened one gave no device. */
  readonly problem: string | null;
  readonly selfTest: readonly SelfTestResult[];
  /** What could be done to use a hardware GPU, where none is used. */
  readonly advice: readonly string[];
  /** What the system's drivers say about themselves. */
  readonly driverMessages: readonly string[];
}

export interface AdapterReport extends AdapterDescription {
  readonly origin: AdapterCandidate["origin"];
  readonly features: {
    readonly f16: boolean;
    readonly subgroups: boolean;
    /** 0 where it varies or there are none. */
    readonly subgroupSize: number;
    readonly subgroupMatrix: Capabilities["subgroupMatrix"];
    readonly timestamps: boolean;
  };
  readonly limits: DeviceLimits;
  readonly memory: MemoryBudget;
}

/** Looks at the machine, opens the adapter that is asked for, and tests it. */
export async function examine(options: { adapter: string; memory?: number }): Promise<DoctorReport> {
  const environment = inspectEnvironment();
  const adapters = await listAdapters();
  const driverMessages = process.platform === "linux" ? await nativeMessages() : [];
  const { adapter, problem, results } = await examineAdapter(options);
  return {
    ok: adapter !== null && results.every(({ status }) => status !== "fail"),
    node: process.version,
    environment,
    adapters,
    adapter,
    problem,
    selfTest: results,
    advice: adapter && !adapter.software ? [] : adviseOnEnvironment(environment),
    driverMessages,
  };
}

interface AdapterFindings {
  readonly adapter: AdapterReport | null;
  readonly problem: string | null;
  readonly results: SelfTestResult[];
}

async function examineAdapter(options: { adapter: string; memory?: number }): Promise<AdapterFindings> {
  try {
    const opened = await createGpu(options);
    const memory =
      options.memory === undefined
        ? defaultMemoryBudget(opened.info)
        : { bytes: options.memory, source: "set by --memory" };
    const device = await openDevice(opened.gpu, opened.adapter, { memoryBudget: memory.bytes });
    try {
      return {
        adapter: reportAdapter(opened, device, memory),
        problem: null,
        results: await selfTest(device),
      };
    } finally {
      device.dispose();
    }
  } catch (error) {
    if (!(error instanceof AdapterError)) throw error;
    return { adapter: null, problem: error.message, results: [] };
  }
}

function reportAdapter({ info }: OpenedAdapter, device: Device, memory: MemoryBudget): AdapterReport {
  const { f16, subgroups, subgroupSize, subgroupMatrix, timestamps, limits } = device.caps;
  const { vendor, architecture, description, software, origin } = info;
  return {
    vendor,
    architecture,
    device: info.name,
    description,
    software,
    origin,
    features: { f16, subgroups, subgroupSize, subgroupMatrix, timestamps },
    limits,
    memory,
  };
}
