import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Device } from "@mask-llava/runtime";

/** What figures depend on besides the kernels. */
export interface Conditions {
  readonly adapter: {
    /** With the driver's name and version where the adapter tells them. */
    readonly description: string;
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly software: boolean;
  };
  readonly processor: { readonly model: string; readonly cores: number };
  /** Processes that wanted to run, a mean over the last minute, when the run began: beyond the cores, it was shared. */
  readonly load: number;
  readonly node: string;
  /** `<hash>`, with `+changes` where the working tree differs; undefined outside of a repository. */
  readonly commit: string | undefined;
  readonly date: string;
  readonly note: string | undefined;
}

export async function conditionsOf(device: Device, note?: string): Promise<Conditions> {
  const { description, vendor, architecture, device: name, software } = device.info;
  const all = cpus();
  return {
    adapter: { description, vendor, architecture, device: name, software },
    processor: { model: all[0]?.model.trim() ?? "unknown", cores: all.length },
    load: loadavg()[0] ?? 0,
    node: process.version,
    commit: await commit(),
    date: new Date().toISOString(),
    note,
  };
}

/** Lines that say where figures are from. */
export function formatConditions({ adapter, processor, load, node, commit, date, note }: Conditions): string {
  const { description, vendor, architecture, device, software } = adapter;
  const name = device || description || architecture;
  return [
    `adapter    ${name}${software ? " — SOFTWARE: figures are those of a processor, not of a GPU" : ""}`,
    `driver     ${description || "not told"} (${[vendor, architecture, device].filter(Boolean).join(", ")})`,
    `host       ${processor.cores} x ${processor.model}, load ${load.toFixed(1)}${load > processor.cores ? " (shared with other work)" : ""}, Node ${node}`,
    `commit     ${commit ?? "unknown"}, ${date}`,
    ...(note ? [`note       ${note}`] : []),
  ].join("\n");
}

async function commit(): Promise<string | undefined> {
  const told = process.env.MASK_LLAVA_COMMIT; // replaced by the commit in the archive that `npm run bundle` writes
  if (told) return told;
  const cwd = fileURLToPath(new URL(".", import.meta.url));
  const git = async (...args: string[]) => (await promisify(execFile)("git", args, { cwd })).stdout.trim();
  try {
    const hash = await git("rev-parse", "--short=12", "HEAD");
    const changes = await git("status", "--porcelain", "--untracked-files=no");
    return changes ? `${hash}+changes` : hash;
  } catch {
    return undefined; // installed without a repository, or without git
  }
}

/** Bytes of the processor's last cache, as Linux tells them; undefined elsewhere. */
export function processorCache(): number | undefined {
  let largest: number | undefined;
  for (let index = 0; index < 8; index++) {
    try {
      const text = readFileSync(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`, "utf8");
      const [, count, unit] = /^(\d+)([KM])/.exec(text) ?? [];
      if (count) largest = Math.max(largest ?? 0, Number(count) * (unit === "M" ? 2 ** 20 : 2 ** 10));
    } catch {
      break;
    }
  }
  return largest;
}
