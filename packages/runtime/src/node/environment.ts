import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "./cache-folder.ts";
import { findIcdFiles, type IcdFile, icdSearch } from "./icd.ts";
import { type LoaderSearch, openSystemLoader } from "./loader.ts";
import { currentUser } from "./user.ts";

/** A file under /dev through which a driver reaches a GPU. */
export interface DeviceNode {
  readonly path: string;
  /** This user may read and write it. */
  readonly accessible: boolean;
  /** The group that owns it, and whether this user is in it. */
  readonly group: string;
  readonly member: boolean;
}

/** What a container runtime was told, by the variables of NVIDIA's container toolkit. */
export interface ContainerFacts {
  /** `docker`, `podman`, `kubernetes`, or the name of another sign that was found. */
  readonly kind: string | undefined;
  readonly visibleDevices: string | undefined;
  readonly driverCapabilities: string | undefined;
}

/** Everything about this machine that decides whether a Vulkan adapter can be opened. */
export interface VulkanEnvironment {
  readonly platform: string;
  readonly loader: LoaderSearch;
  readonly icdFiles: readonly IcdFile[];
  /** The variable that replaced the search for ICD files, where one did. */
  readonly icdVariable: string | undefined;
  readonly icdPlaces: readonly string[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly container: ContainerFacts;
  /** The version of NVIDIA's kernel driver, where it is loaded. */
  readonly nvidiaDriver: string | undefined;
}

/** Looks at this machine. Linux only in substance: elsewhere the lists are empty, and Dawn uses Metal or Direct3D. */
export function inspectEnvironment(env: Environment = process.env): VulkanEnvironment {
  const linux = process.platform === "linux";
  const search = icdSearch(env);
  return {
    platform: `${process.platform}-${process.arch}`,
    loader: linux ? openSystemLoader() : { problem: `${process.platform} needs no Vulkan loader` },
    icdFiles: linux ? findIcdFiles(env) : [],
    icdVariable: search.variable,
    icdPlaces: linux ? search.places : [],
    deviceNodes: linux ? findDeviceNodes() : [],
    container: {
      kind: containerKind(env),
      visibleDevices: env.NVIDIA_VISIBLE_DEVICES,
      driverCapabilities: env.NVIDIA_DRIVER_CAPABILITIES,
    },
    nvidiaDriver: nvidiaDriverVersion(),
  };
}

function findDeviceNodes(): DeviceNode[] {
  const names = [
    ...list("/dev/dri")
      .filter((name) => /^(renderD|card)\d+$/.test(name))
      .map((name) => join("/dev/dri", name)),
    ...list("/dev")
      .filter((name) => /^nvidia(\d+|ctl|-uvm|-modeset)$/.test(name))
      .map((name) => join("/dev", name)),
    ...list("/dev")
      .filter((name) => name === "kfd" || name === "dxg")
      .map((name) => join("/dev", name)),
  ];
  const groups = groupNames();
  const ours = new Set(process.getgroups?.() ?? []);
  return names.sort().map((path) => {
    const gid = statSync(path).gid;
    return {
      path,
      accessible: canReadAndWrite(path),
      group: groups.get(gid) ?? String(gid),
      member: ours.has(gid),
    };
  });
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Absent or closed to us: either way there is nothing to open in it.
  }
}

function canReadAndWrite(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function groupNames(): Map<number, string> {
  const names = new Map<number, string>();
  if (!existsSync("/etc/group")) return names;
  for (const line of readFileSync("/etc/group", "utf8").split("\n")) {
    const [name, , gid] = line.split(":");
    if (name && gid) names.set(Number(gid), name);
  }
  return names;
}

function containerKind(env: Environment): string | undefined {
  if (existsSync("/.dockerenv")) return "docker";
  if (existsSync("/run/.containerenv")) return "podman";
  if (env.KUBERNETES_SERVICE_HOST) return "kubernetes";
  return env.container;
}

function nvidiaDriverVersion(): string | undefined {
  const path = "/proc/driver/nvidia/version";
  if (!existsSync(path)) return undefined;
  return /Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)/.exec(readFileSync(path, "utf8"))?.[1];
}

/** What stands between this machine and a hardware GPU, each with what to do about it; most likely cause first. */
export function adviseOnEnvironment(facts: VulkanEnvironment, user = currentUser().name): string[] {
  const advice: string[] = [];
  const nvidia = facts.deviceNodes.some((node) => /nvidia\d+$/.test(node.path));
  const { visibleDevices, driverCapabilities, kind } = facts.container;
  if (nvidia && driverCapabilities !== undefined && !allowsGraphics(driverCapabilities)) {
    advice.push(
      `NVIDIA_DRIVER_CAPABILITIES=${driverCapabilities} leaves Vulkan out of this container: start it with NVIDIA_DRIVER_CAPABILITIES=graphics,compute,utility (or all)`,
    );
  }
  if (nvidia && !facts.icdFiles.some((icd) => !icd.problem && /nvidia/i.test(icd.library ?? ""))) {
    const fix = kind
      ? "start the container with NVIDIA's container toolkit and the graphics capability"
      : "install the driver's Vulkan part (Debian: nvidia-vulkan-icd; elsewhere libnvidia-gl of the same version)";
    advice.push(`there is an NVIDIA GPU but none of its ICD files: ${fix}`);
  }
  if (!nvidia && visibleDevices !== undefined && visibleDevices !== "void" && visibleDevices !== "none") {
    advice.push(
      `NVIDIA_VISIBLE_DEVICES=${visibleDevices} but there is no /dev/nvidia*: the container was not started with the NVIDIA runtime (docker run --gpus all)`,
    );
  }
  for (const node of facts.deviceNodes) {
    if (node.accessible || !/renderD|nvidia\d|nvidiactl/.test(node.path)) continue;
    advice.push(
      node.member
        ? `${node.path} may not be opened by ${user}: chmod g+rw ${node.path}`
        : `${node.path} belongs to the group ${node.group}, which ${user} is not in: sudo usermod -aG ${node.group} ${user}, then log in again`,
    );
  }
  if ("problem" in facts.loader && facts.deviceNodes.length > 0) {
    advice.push("there is no Vulkan loader on this machine: install libvulkan1 (Debian) or vulkan-loader");
  }
  for (const icd of facts.icdFiles) {
    if (icd.problem) advice.push(`${icd.path} cannot be used: ${icd.problem}`);
  }
  if (facts.icdVariable && facts.icdFiles.length === 0)
    advice.push(`${facts.icdVariable} names no ICD file: unset it`);
  if (facts.deviceNodes.length === 0) {
    advice.push("there is no GPU that this process can see: no /dev/dri/renderD*, /dev/nvidia* or /dev/dxg");
  }
  return advice;
}

function allowsGraphics(capabilities: string): boolean {
  return capabilities.split(",").some((name) => ["all", "graphics", "display"].includes(name.trim()));
}
