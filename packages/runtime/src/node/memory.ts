import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { freemem } from "node:os";
import { join } from "node:path";
import { formatBytes } from "../errors.ts";

/** How many bytes of GPU memory may be used, and why this many. */
export interface MemoryBudget {
  readonly bytes: number;
  /** In words, for people. */
  readonly source: string;
}

/** A software adapter's buffers are host memory, which Node, the weights' file cache and others need as well. */
const hostFraction = 0.75;
/** Of a GPU's free memory; drivers keep some for page tables, pipelines and other processes. */
const gpuFraction = 0.9;
/** Where a GPU does not tell its size. */
const defaultBudget = 4 * 2 ** 30;

/**
 * The default memory budget of an adapter. Dawn does not tell a GPU's memory in Node (it offers no
 * adapter-properties-memory-heaps feature there), so the driver is asked: AMD's files under /sys, NVIDIA's `nvidia-smi`.
 */
export function defaultMemoryBudget(adapter: {
  vendor: string;
  description: string;
  software: boolean;
}): MemoryBudget {
  if (adapter.software) return hostBudget("a software adapter uses host memory");
  const gpu = /nvidia/i.test(adapter.vendor)
    ? nvidiaFree()
    : /amd|ati/i.test(adapter.vendor)
      ? amdFree()
      : undefined;
  if (gpu !== undefined) {
    return {
      bytes: Math.floor(gpu * gpuFraction),
      source: `${gpuFraction * 100}% of the ${formatBytes(gpu)} free on the GPU`,
    };
  }
  if (/intel|apple|arm|qualcomm/i.test(adapter.vendor))
    return hostBudget("this GPU shares the host's memory");
  return { bytes: defaultBudget, source: "the GPU's memory is unknown: a default, set --memory" };
}

function hostBudget(why: string): MemoryBudget {
  const host = availableHostMemory();
  return {
    bytes: Math.floor(host.bytes * hostFraction),
    source: `${hostFraction * 100}% of the ${formatBytes(host.bytes)} available ${host.limitedBy}; ${why}`,
  };
}

/** Bytes that this process may still use on the host: the kernel's estimate, or a control group's room if smaller. */
export function availableHostMemory(root = "/"): { bytes: number; limitedBy: string } {
  const meminfo = join(root, "proc/meminfo");
  const free = existsSync(meminfo) ? parseMemAvailable(readFileSync(meminfo, "utf8")) : undefined;
  const host = { bytes: free ?? freemem(), limitedBy: "on the host" };
  const group = controlGroupRoom(root);
  return group !== undefined && group < host.bytes
    ? { bytes: group, limitedBy: "in the control group" }
    : host;
}

/** MemAvailable of proc(5) /proc/meminfo, in bytes. */
export function parseMemAvailable(meminfo: string): number | undefined {
  const kib = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1];
  return kib === undefined ? undefined : Number(kib) * 1024;
}

/** The least room in this process' control group and those above it: version 2 first, else version 1. */
function controlGroupRoom(root: string): number | undefined {
  const text = readIfThere(join(root, "proc/self/cgroup"));
  if (text === undefined) return undefined;
  const rooms: number[] = [];
  for (const line of text.trim().split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    if (controllers === "") {
      for (const folder of upwards(path))
        rooms.push(room(join(root, "sys/fs/cgroup", folder), "memory.max", "memory.current"));
    } else if (controllers.split(",").includes("memory")) {
      for (const folder of upwards(path)) {
        rooms.push(
          room(join(root, "sys/fs/cgroup/memory", folder), "memory.limit_in_bytes", "memory.usage_in_bytes"),
        );
      }
    }
  }
  const least = Math.min(...rooms);
  return Number.isFinite(least) ? least : undefined;
}

/** The folder and all above it; inside a container the path of the host may not exist, but the root does. */
function upwards(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return [...parts, ""].map((_, dropped) => parts.slice(0, parts.length - dropped).join("/"));
}

/** Limit less use, where the file cache that the kernel would drop first does not count as used. */
function room(folder: string, limitFile: string, usageFile: string): number {
  const limit = Number(readIfThere(join(folder, limitFile)) ?? "max");
  const usage = Number(readIfThere(join(folder, usageFile)) ?? "0");
  if (!Number.isFinite(limit)) return Number.POSITIVE_INFINITY;
  const stat = readIfThere(join(folder, "memory.stat")) ?? "";
  const droppable = Number(/^(?:total_)?inactive_file (\d+)$/m.exec(stat)?.[1] ?? 0);
  return Math.max(0, limit - Math.max(0, usage - droppable));
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

/** Free bytes of the largest NVIDIA GPU by `nvidia-smi`, which comes with the driver; undefined where it does not run. */
function nvidiaFree(): number | undefined {
  try {
    const output = execFileSync("nvidia-smi", ["--query-gpu=memory.free", "--format=csv,noheader,nounits"], {
      encoding: "utf8",
      timeout: 10_000,
      stdio: ["ignore", "pipe", "ignore"],
    });
    return largest(output.split("\n").map((line) => Number(line.trim() || Number.NaN) * 2 ** 20));
  } catch {
    return undefined; // Not installed, or not allowed: the caller states the default that it takes instead.
  }
}

/** Free bytes of the AMD GPU with most of them, by the amdgpu driver's files. */
function amdFree(): number | undefined {
  const drm = "/sys/class/drm";
  if (!existsSync(drm)) return undefined;
  return largest(
    readdirSync(drm).map((card) => {
      const device = join(drm, card, "device");
      const total = readIfThere(join(device, "mem_info_vram_total"));
      const used = readIfThere(join(device, "mem_info_vram_used"));
      return total === undefined ? Number.NaN : Number(total) - Number(used ?? 0);
    }),
  );
}

function largest(values: readonly number[]): number | undefined {
  const known = values.filter((value) => value > 0);
  return known.length > 0 ? Math.max(...known) : undefined;
}
