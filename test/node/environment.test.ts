import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cacheFolderCandidates } from "../../packages/runtime/src/node/cache-folder.ts";
import { driverEnvironment, withDriverFiles } from "../../packages/runtime/src/node/driver-environment.ts";
import { adviseOnEnvironment, type VulkanEnvironment } from "../../packages/runtime/src/node/environment.ts";

const nvidiaIcd = { path: "/etc/vulkan/icd.d/nvidia_icd.json", library: "libGLX_nvidia.so.0" };
const nvidiaNode = { path: "/dev/nvidia0", accessible: true, group: "root", member: false };

function facts(more: Partial<VulkanEnvironment>): VulkanEnvironment {
  return {
    platform: "linux-x64",
    loader: { path: "/usr/lib/libvulkan.so.1" },
    icdFiles: [nvidiaIcd],
    icdVariable: undefined,
    icdPlaces: [],
    deviceNodes: [nvidiaNode],
    container: { kind: undefined, visibleDevices: undefined, driverCapabilities: undefined },
    nvidiaDriver: undefined,
    ...more,
  };
}

describe("adviseOnEnvironment", () => {
  test("nothing, where nothing is in the way", () => {
    expect(adviseOnEnvironment(facts({}), "ada")).toEqual([]);
  });
  test.each([
    ["compute,utility", true],
    ["utility", true],
    ["all", false],
    ["compute, graphics", false],
    [undefined, false],
  ])("NVIDIA_DRIVER_CAPABILITIES=%s", (driverCapabilities, wrong) => {
    const container = { kind: "docker", visibleDevices: "all", driverCapabilities };
    expect(adviseOnEnvironment(facts({ container }), "ada").some((line) => line.includes("graphics"))).toBe(
      wrong,
    );
  });
  test("a GPU without its ICD file", () => {
    expect(adviseOnEnvironment(facts({ icdFiles: [] }), "ada")[0]).toContain("nvidia-vulkan-icd");
    expect(adviseOnEnvironment(facts({ icdFiles: [{ ...nvidiaIcd, problem: "x" }] }), "ada")[0]).toContain(
      "ICD",
    );
  });
  test("a container that was told of GPUs but has none", () => {
    const container = { kind: "docker", visibleDevices: "all", driverCapabilities: undefined };
    const advice = adviseOnEnvironment(facts({ deviceNodes: [], container }), "ada");
    expect(advice[0]).toContain("docker run --gpus all");
  });
  test("a render node of a group that the user is not in", () => {
    const node = { path: "/dev/dri/renderD128", accessible: false, group: "render", member: false };
    expect(adviseOnEnvironment(facts({ deviceNodes: [node] }), "ada")).toEqual([
      expect.stringContaining("sudo usermod -aG render ada"),
    ]);
  });
  test("no loader although there is a GPU, a broken ICD file, a variable that names nothing, no GPU at all", () => {
    expect(adviseOnEnvironment(facts({ loader: { problem: "x" } }), "ada")[0]).toContain("libvulkan1");
    const broken = { path: "/b.json", problem: "it is not JSON" };
    expect(adviseOnEnvironment(facts({ icdFiles: [nvidiaIcd, broken] }), "ada")[0]).toContain("/b.json");
    const none = facts({ icdFiles: [], icdVariable: "VK_DRIVER_FILES", deviceNodes: [] });
    const advice = adviseOnEnvironment(none, "ada").join("\n");
    expect(advice).toContain("VK_DRIVER_FILES");
    expect(advice).toContain("no GPU");
  });
});

test("the user's cache folder comes before the home's, and relative ones do not count", () => {
  expect(cacheFolderCandidates({ XDG_CACHE_HOME: "/c", HOME: "/h" }).slice(0, 2)).toEqual([
    join("/c", "mask-llava"),
    join("/h", ".cache", "mask-llava"),
  ]);
  expect(cacheFolderCandidates({ XDG_CACHE_HOME: "c", HOME: "/h" })[0]).toBe(
    join("/h", ".cache", "mask-llava"),
  );
});

test("a user of whom nothing is known but the number has a cache folder too", () => {
  expect(cacheFolderCandidates({}, { id: 12345, name: "user 12345", home: undefined })).toEqual([
    join(tmpdir(), "mask-llava-12345"),
  ]);
});

test("driverEnvironment leaves alone what the user has set", () => {
  expect(driverEnvironment({}, "/c")).toEqual({ XDG_RUNTIME_DIR: "/c", MESA_SHADER_CACHE_DIR: "/c/mesa" });
  expect(driverEnvironment({ XDG_RUNTIME_DIR: "/r", MESA_SHADER_CACHE_DIR: "/m" }, "/c")).toEqual({});
});

test("withDriverFiles sets the variable for the work only, also when the work throws", () => {
  const before = process.env.VK_DRIVER_FILES;
  expect(withDriverFiles("/x.json", () => process.env.VK_DRIVER_FILES)).toBe("/x.json");
  expect(() =>
    withDriverFiles("/x.json", () => {
      throw new Error("no");
    }),
  ).toThrow("no");
  expect(process.env.VK_DRIVER_FILES).toBe(before);
});
