import { describe, expect, test } from "vitest";
import {
  type AdapterCandidate,
  chooseAdapter,
  parseAdapterNames,
} from "../../packages/runtime/src/node/adapters.ts";
import { mappedLibrary } from "../../packages/runtime/src/node/loader.ts";
import { isStartupMessage } from "../../packages/runtime/src/node/native-messages.ts";

function candidate(name: string, software: boolean, more: Partial<AdapterCandidate> = {}): AdapterCandidate {
  return {
    name,
    origin: "system",
    vendor: "v",
    architecture: "a",
    device: "d",
    description: "",
    software,
    ...more,
  };
}

const lavapipe = candidate("llvmpipe (LLVM 15.0.6, 256 bits)", true, { vendor: "mesa" });
const h100 = candidate("NVIDIA H100", false, {
  vendor: "nvidia",
  architecture: "hopper",
  description: "550.54.15",
});
const a10 = candidate("NVIDIA A10", false, { vendor: "nvidia", architecture: "ampere" });

describe("chooseAdapter", () => {
  test.each([
    ["auto", [lavapipe, h100, a10], h100],
    ["auto", [lavapipe], lavapipe],
    ["auto", [], undefined],
    ["gpu", [lavapipe, a10, h100], a10],
    ["gpu", [lavapipe], undefined],
    ["software", [h100, lavapipe], lavapipe],
    ["software", [h100], undefined],
    ["a10", [lavapipe, h100, a10], a10],
    ["HOPPER", [lavapipe, h100, a10], h100],
    ["mesa", [h100, lavapipe], lavapipe],
    ["550.54", [lavapipe, h100], h100],
    ["radeon", [lavapipe, h100, a10], undefined],
  ])("%s", (choice, candidates, expected) => {
    expect(chooseAdapter(candidates, choice)).toBe(expected);
  });
});

test("parseAdapterNames reads Dawn's list, where names may have quotes and brackets", () => {
  const message = [
    "no suitable backends found",
    "Available adapters:",
    " * backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)'",
    " * backend: 'vulkan', name: 'Maker's GPU'",
    " * backend: 'vulkan', name: 'Maker's GPU'",
  ].join("\n");
  expect(parseAdapterNames(message)).toEqual(["llvmpipe (LLVM 15.0.6, 256 bits)", "Maker's GPU"]);
  expect(parseAdapterNames("no suitable backends found\nAvailable adapters:")).toEqual([]);
});

test("mappedLibrary finds a library in a memory map", () => {
  const maps = [
    "7f1c000-7f1d000 r--p 00000000 fe:00 123  /usr/lib/x86_64-linux-gnu/libc.so.6",
    "7f2c000-7f2d000 r-xp 00000000 fe:00 124  /home/a b/libvulkan.so.1.3.239",
    "7f3c000-7f3d000 rw-p 00000000 00:00 0 ",
  ].join("\n");
  expect(mappedLibrary(maps, "libvulkan.so.1")).toBe("/home/a b/libvulkan.so.1.3.239");
  expect(mappedLibrary(maps, "libGL.so.1")).toBeUndefined();
});

test.each([
  [
    "Warning: maxDynamicUniformBuffersPerPipelineLayout artificially reduced from 1000000 to 16 to fit dynamic offset allocation limit.",
    true,
  ],
  ["error: XDG_RUNTIME_DIR is invalid or not set in the environment.", true],
  [
    "Error: Loader Message: setup_loader_term_phys_devs:  Failed to detect any valid GPUs in the current config",
    true,
  ],
  ["Warning: Vulkan shaderUniform*ArrayDynamicIndexing required.", true],
  [" - While initializing adapter (backend=BackendType::Vulkan)", true],
  ["    at InitializeImpl (/home/x/third_party/dawn/src/dawn/native/vulkan/PhysicalDeviceVk.cpp:257)", true],
  ["    at file:///home/x/packages/cli/dist/main.js:3:4", false],
  ["Segmentation fault", false],
  ["mask-llava: Warning: maxDynamic", false],
])("isStartupMessage(%s) is %s", (line, expected) => {
  expect(isStartupMessage(line)).toBe(expected);
});
