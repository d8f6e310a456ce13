import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { availableHostMemory, parseMemAvailable } from "../../packages/runtime/src/node/memory.ts";

const GiB = 2 ** 30;
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "memory-"));
  write(
    "proc/meminfo",
    `MemTotal:       33554432 kB\nMemFree:         1000000 kB\nMemAvailable:   ${(16 * GiB) / 1024} kB\n`,
  );
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

test("parseMemAvailable", () => {
  expect(parseMemAvailable("MemAvailable:       12 kB\n")).toBe(12 * 1024);
  expect(parseMemAvailable("MemFree:       12 kB\n")).toBeUndefined();
});

describe("availableHostMemory", () => {
  test("without control groups it is the kernel's estimate", () => {
    expect(availableHostMemory(root)).toEqual({ bytes: 16 * GiB, limitedBy: "on the host" });
  });
  test("version 2: the least room of a group and those above it; file cache that can go is no use of memory", () => {
    write("proc/self/cgroup", "0::/a.slice/b.scope\n");
    write("sys/fs/cgroup/a.slice/memory.max", String(8 * GiB));
    write("sys/fs/cgroup/a.slice/memory.current", String(5 * GiB));
    write("sys/fs/cgroup/a.slice/memory.stat", `anon 1\ninactive_file ${2 * GiB}\n`);
    write("sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n");
    expect(availableHostMemory(root)).toEqual({ bytes: 5 * GiB, limitedBy: "in the control group" });
  });
  test("version 1, in a container where the host's path does not exist", () => {
    write("proc/self/cgroup", "12:cpu,cpuacct:/docker/x\n9:memory:/docker/x\n");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", String(4 * GiB));
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", String(1 * GiB));
    expect(availableHostMemory(root)).toEqual({ bytes: 3 * GiB, limitedBy: "in the control group" });
  });
  test("a limit above what the host has does not count", () => {
    write("proc/self/cgroup", "0::/\n");
    write("sys/fs/cgroup/memory.max", String(64 * GiB));
    expect(availableHostMemory(root).limitedBy).toBe("on the host");
  });
  test("a group that is over its limit has no room, not a negative one", () => {
    write("proc/self/cgroup", "0::/\n");
    write("sys/fs/cgroup/memory.max", "1000");
    write("sys/fs/cgroup/memory.current", "2000");
    expect(availableHostMemory(root).bytes).toBe(0);
  });
});
