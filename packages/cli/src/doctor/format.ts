import { formatBytes, type SubgroupMatrixConfig } from "@mask-llava/runtime";
import type { AdapterReport, DoctorReport } from "./examine.ts";

/** The report for people. */
export function formatReport(report: DoctorReport): string {
  const sections: [string, string[]][] = [
    ["Machine", machine(report)],
    ["Adapters", adapters(report)],
    [
      "Adapter in use",
      report.adapter ? adapter(report.adapter) : [`none: ${report.problem?.split("\n")[0] ?? "unknown"}`],
    ],
    ["Self-test", selfTest(report)],
    ["The drivers say", [...report.driverMessages]],
    ["To use a hardware GPU", report.advice.map((line) => `- ${line}`)],
  ];
  const text = sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${title}\n${lines.map((line) => `  ${line}\n`).join("")}`)
    .join("\n");
  return `${text}\n${verdict(report)}\n`;
}

function verdict({ ok, adapter, selfTest }: DoctorReport): string {
  if (ok) return adapter?.software ? "All is well, on a software adapter (slow)." : "All is well.";
  if (!adapter) return "There is no adapter to run on.";
  return `The adapter computes wrongly: ${selfTest
    .filter(({ status }) => status === "fail")
    .map(({ name }) => name)
    .join(", ")}.`;
}

function row(name: string, value: string): string {
  return `${name.padEnd(18)}${value}`;
}

function machine({ environment, node }: DoctorReport): string[] {
  const { loader, icdFiles, icdPlaces, icdVariable, deviceNodes, container, nvidiaDriver } = environment;
  const lines = [row("platform", `${environment.platform}, Node ${node}`)];
  lines.push(row("Vulkan loader", "path" in loader ? loader.path : `none (${loader.problem})`));
  if (icdVariable) lines.push(row("", `${icdVariable} replaces the search for drivers`));
  if (icdFiles.length === 0) lines.push(row("drivers (ICD)", `none in ${icdPlaces.join(", ")}`));
  for (const [i, icd] of icdFiles.entries()) {
    const api = icd.apiVersion ? ` (Vulkan ${icd.apiVersion})` : "";
    const what = icd.problem ? `cannot be used: ${icd.problem}` : `${icd.library}${api}`;
    lines.push(row(i === 0 ? "drivers (ICD)" : "", `${icd.path}: ${what}`));
  }
  if (deviceNodes.length === 0)
    lines.push(row("device nodes", "none: no /dev/dri/*, /dev/nvidia*, /dev/kfd, /dev/dxg"));
  for (const [i, device] of deviceNodes.entries()) {
    const access = device.accessible ? "may be opened" : `may NOT be opened (group ${device.group})`;
    lines.push(row(i === 0 ? "device nodes" : "", `${device.path}: ${access}`));
  }
  if (nvidiaDriver) lines.push(row("NVIDIA driver", nvidiaDriver));
  lines.push(
    row(
      "container",
      `${container.kind ?? "no sign of one"}; NVIDIA_VISIBLE_DEVICES ${container.visibleDevices ?? "unset"}, NVIDIA_DRIVER_CAPABILITIES ${container.driverCapabilities ?? "unset"}`,
    ),
  );
  return lines;
}

function adapters({ adapters }: DoctorReport): string[] {
  if (adapters.length === 0) return ["none"];
  return adapters.map(
    ({ name, description, software, origin }) =>
      `${name} - ${description} (${software ? "software" : "hardware"}, ${origin === "embedded" ? "comes with mask-llava" : "installed"})`,
  );
}

function adapter({ features, limits, memory, ...info }: AdapterReport): string[] {
  const { f16, subgroups, subgroupSize, subgroupMatrix, timestamps } = features;
  const size = subgroupSize > 0 ? `yes, of ${subgroupSize}` : "yes, of varying size";
  const bytes = (name: string, value: number) => row(name, formatBytes(value));
  return [
    row("name", info.device),
    row("driver", info.description),
    row(
      "kind",
      `${info.software ? "software" : "hardware"}; vendor ${info.vendor}, architecture ${info.architecture}`,
    ),
    row("f16", yesNo(f16)),
    row("subgroups", subgroups ? size : "no"),
    row("subgroup matrix", subgroupMatrix.map(matrices).join(", ") || "no"),
    row("timestamps", yesNo(timestamps)),
    bytes("largest buffer", limits.maxBufferSize),
    bytes("largest binding", limits.maxStorageBufferBindingSize),
    row(
      "workgroup",
      `${limits.maxComputeInvocationsPerWorkgroup} invocations, ${formatBytes(limits.maxComputeWorkgroupStorageSize)}`,
    ),
    row("storage buffers", `${limits.maxStorageBuffersPerShaderStage} a shader`),
    row("memory budget", `${formatBytes(memory.bytes)} (${memory.source})`),
  ];
}

function matrices({ componentType, resultComponentType, M, N, K }: SubgroupMatrixConfig): string {
  return `${M}x${N}x${K} ${componentType} to ${resultComponentType}`;
}

function yesNo(value: boolean): string {
  return value ? "yes" : "no";
}

function selfTest(report: DoctorReport): string[] {
  return report.selfTest.map(({ name, status, detail }) => row(name, `${status.padEnd(8)}${detail}`));
}
