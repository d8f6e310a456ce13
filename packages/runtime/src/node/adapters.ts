import type { AdapterDescription } from "../capabilities.ts";
import { AdapterError } from "../errors.ts";
import { prepareDriverEnvironment, withDriverFiles } from "./driver-environment.ts";
import { adviseOnEnvironment, inspectEnvironment } from "./environment.ts";
import { findIcdFiles } from "./icd.ts";
import { openSystemLoader, useLoader } from "./loader.ts";
import { nativeMessages } from "./native-messages.ts";
import { provideSwiftShader, swiftShaderInstalled, swiftShaderSupported } from "./swiftshader.ts";

/** `auto`, `gpu`, `software`, or a part of an adapter's name in any case. */
export type AdapterChoice = string;

/** An adapter that could be opened on this machine. */
export interface AdapterCandidate extends AdapterDescription {
  /** Dawn's name of it, which `adapter=` takes. */
  readonly name: string;
  /** `system`: by an installed driver; `embedded`: by the SwiftShader that comes with this package. */
  readonly origin: "system" | "embedded";
}

/** An adapter with the GPU object that it came from. Keep `gpu` referenced for as long as the device lives. */
export interface OpenedAdapter {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly info: AdapterCandidate;
}

type Dawn = typeof import("webgpu");

/** Drivers that a loader can be pointed at, and how. */
interface DriverSource {
  readonly origin: AdapterCandidate["origin"];
  /** VK_DRIVER_FILES, where not the machine's own. */
  readonly driverFiles?: string;
}

const toggles: readonly string[] = [
  // Subgroup matrices are still an experimental extension.
  // Dawn keeps f16 from NVIDIA's driver for reasons of its conformance tests for 16-bit uniforms, which no kernel has.
  "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
  // Timestamps come in steps of 65 us otherwise, longer than most kernels.
  "disable-dawn-features=timestamp_quantization",
];

/**
 * Opens the adapter that `choice` asks for: `auto` takes a hardware GPU, else the system's software driver, else the
 * embedded one; `gpu` and `software` take that kind only; anything else is matched with the adapters' names, whatever
 * their kind. Throws AdapterError, with what was found and what could be done, where there is none.
 */
export async function createGpu(options: { adapter?: AdapterChoice } = {}): Promise<OpenedAdapter> {
  const choice = options.adapter ?? "auto";
  const dawn = await loadDawn();
  const seen: AdapterCandidate[] = [];
  for await (const source of driverSources()) {
    const opened = await openAll(dawn, source);
    const chosen = chooseAdapter(
      opened.map(({ info }) => info),
      choice,
    );
    const match = opened.find(({ info }) => info === chosen);
    if (match) return match;
    seen.push(...opened.map(({ info }) => info));
    if (choice === "gpu") break; // What is embedded is software.
  }
  throw new AdapterError(await describeFailure(choice, seen));
}

/** Every adapter that could be opened, in the order in which `auto` would look at them. */
export async function listAdapters(): Promise<AdapterCandidate[]> {
  const dawn = await loadDawn();
  const all: AdapterCandidate[] = [];
  for await (const source of driverSources())
    all.push(...(await openAll(dawn, source)).map(({ info }) => info));
  return all;
}

/**
 * VK_DRIVER_FILES with which another library in this process finds the driver of an open adapter and no other. Undefined
 * where it would find no other anyway, or where there are no such files.
 */
export async function driverFilesOf(adapter: AdapterDescription): Promise<string | undefined> {
  if (process.platform !== "linux") return undefined;
  const dawn = await loadDawn();
  const isIt = ({ info }: OpenedAdapter): boolean =>
    info.device === adapter.device && info.description === adapter.description;
  for await (const source of driverSources()) {
    const opened = await openAll(dawn, source);
    if (!opened.some(isIt)) continue;
    if (source.driverFiles !== undefined || opened.length === 1) return source.driverFiles;
    for (const { path, problem } of findIcdFiles()) {
      if (!problem && (await openAll(dawn, { ...source, driverFiles: path })).some(isIt)) return path;
    }
  }
  return undefined;
}

/** The candidate that `choice` means, or undefined. Candidates come in the driver's order, best first. */
export function chooseAdapter(
  candidates: readonly AdapterCandidate[],
  choice: AdapterChoice,
): AdapterCandidate | undefined {
  const hardware = candidates.find((candidate) => !candidate.software);
  const software = candidates.find((candidate) => candidate.software);
  if (choice === "auto") return hardware ?? software;
  if (choice === "gpu") return hardware;
  if (choice === "software") return software;
  return candidates.find((candidate) => matches(candidate, choice));
}

function matches(candidate: AdapterCandidate, choice: string): boolean {
  const part = choice.toLowerCase();
  const { name, device, description, vendor, architecture } = candidate;
  return [name, device, description, vendor, architecture].some((text) => text.toLowerCase().includes(part));
}

/** The system's drivers, then the embedded one. Each is prepared only when the one before it did not do. */
async function* driverSources(): AsyncGenerator<DriverSource> {
  if (process.platform !== "linux") {
    yield { origin: "system" }; // Metal or Direct3D 12: nothing to find or to provide.
    return;
  }
  prepareDriverEnvironment();
  const embedded = swiftShaderInstalled();
  const hasLoader = "path" in openSystemLoader();
  // Drivers without a loader occur in containers: the embedded loader serves them as well.
  if (findIcdFiles().some((icd) => !icd.problem) && (hasLoader || embedded)) {
    if (!hasLoader) await useEmbeddedLoader();
    yield { origin: "system" };
  }
  if (embedded) {
    if (!hasLoader) await useEmbeddedLoader();
    yield { origin: "embedded", driverFiles: (await provideSwiftShader()).icd };
  }
}

async function useEmbeddedLoader(): Promise<void> {
  const { loader } = await provideSwiftShader();
  const result = useLoader(loader);
  if ("problem" in result)
    throw new AdapterError(`the embedded Vulkan loader cannot be loaded: ${result.problem}`);
}

/** Requests every adapter of a source by its name. */
async function openAll(dawn: Dawn, source: DriverSource): Promise<OpenedAdapter[]> {
  const opened: OpenedAdapter[] = [];
  for (const name of await adapterNames(dawn, source)) {
    const { gpu, promise } = request(dawn, source, [...toggles, `adapter=${name}`]);
    const adapter = await promise;
    if (adapter) opened.push({ gpu, adapter, info: describe(adapter, name, source.origin) });
  }
  return opened;
}

/** Dawn's names of a source's adapters. There is no call for it, but an unknown name is answered with the known ones. */
async function adapterNames(dawn: Dawn, source: DriverSource): Promise<string[]> {
  try {
    await request(dawn, source, ["adapter=(which are there?)"]).promise;
    return []; // null, without a complaint about the name: there are no adapters at all.
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (!message.includes("Available adapters")) throw error;
    return parseAdapterNames(message);
  }
}

/** The names in Dawn's "Available adapters" message; duplicates are left out, since only the first can be asked for. */
export function parseAdapterNames(message: string): string[] {
  return [
    ...new Set(
      [...message.matchAll(/^ \* backend: '[^']*', name: '(.*)'$/gm)].map((match) => match[1] ?? ""),
    ),
  ];
}

/** The native work of both calls is done when they return, so the environment counts only that long. */
function request(
  dawn: Dawn,
  source: DriverSource,
  flags: string[],
): { gpu: GPU; promise: Promise<GPUAdapter | null> } {
  return withDriverFiles(source.driverFiles, () => {
    const gpu = dawn.create(flags);
    return { gpu, promise: gpu.requestAdapter({ powerPreference: "high-performance" }) };
  });
}

function describe(adapter: GPUAdapter, name: string, origin: AdapterCandidate["origin"]): AdapterCandidate {
  const { vendor, architecture, device, description } = adapter.info;
  const software = adapter.info.isFallbackAdapter || /^(software|swiftshader)$/.test(architecture);
  return { name, origin, vendor, architecture, device, description, software };
}

/**
 * Loads Dawn's addon, and gives the process GPUBufferUsage and the other names that a browser has globally and portable
 * code relies on. Not a static import: where there is no build of Dawn for a platform, that is no adapter, not a crash.
 */
async function loadDawn(): Promise<Dawn> {
  let dawn: Dawn;
  try {
    dawn = await import("webgpu");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AdapterError(`Dawn cannot be loaded on ${process.platform}-${process.arch}: ${reason}`, {
      cause: error,
    });
  }
  for (const [name, value] of Object.entries(dawn.globals)) {
    if (!(name in globalThis))
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return dawn;
}

async function describeFailure(choice: AdapterChoice, seen: readonly AdapterCandidate[]): Promise<string> {
  const wanted =
    choice === "gpu"
      ? "no hardware GPU was found"
      : choice === "auto" || choice === "software"
        ? "no Vulkan adapter was found"
        : `no adapter is called "${choice}"`;
  const found = seen.map(
    ({ description, name, software }) => `${description || name}${software ? " (software)" : ""}`,
  );
  const lines = [`${wanted}; ${found.length > 0 ? `there is ${found.join(", ")}` : "there is none at all"}`];
  const wantsName = !["auto", "gpu", "software"].includes(choice);
  if (choice !== "gpu" && swiftShaderSupported() && !swiftShaderInstalled()) {
    lines.push("no software adapter is embedded in this installation: install a Vulkan driver");
  }
  if (!wantsName) {
    lines.push(...adviseOnEnvironment(inspectEnvironment()));
    if (process.platform === "linux")
      lines.push(...(await nativeMessages()).map((line) => `the driver says: ${line}`));
  }
  return lines.join("\n  ");
}
