import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** Lines that Dawn and the drivers write to the process' stderr on every start and that ask nothing of anybody. */
const routine: readonly RegExp[] = [
  /^Warning: maxDynamic(Uniform|Storage)BuffersPerPipelineLayout artificially reduced/,
  /^error: XDG_RUNTIME_DIR is invalid or not set/,
  /^(WARNING|MESA-INTEL|MESA): .*(is not a conformant|not a conformant|experimental)/i,
  /^Error: Loader Message: setup_loader_term_phys_devs: {2}Failed to detect any valid GPUs/,
  /^Warning: vkEnumeratePhysicalDevices$/,
  /^\s+at \w+ \(\S*third_party\/dawn\/\S+:\d+\)$/,
];

/** True for a line of native code that says nothing a user could act on. */
export function isRoutineMessage(line: string): boolean {
  return routine.some((pattern) => pattern.test(line));
}

/**
 * Why the system's drivers gave no adapter, in their own words. Dawn answers `null` and writes its reasons to the
 * process' stderr, past Node; so a child process asks again with its stderr in a pipe.
 */
export async function nativeMessages(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string[]> {
  const webgpu = pathToFileURL(createRequire(import.meta.url).resolve("webgpu")).href;
  const script = `const { create } = await import(${JSON.stringify(webgpu)}); const gpu = create([]); await gpu.requestAdapter();`;
  const stderr = await new Promise<string>((resolve) => {
    execFile(
      process.execPath,
      ["--input-type=module", "--eval", script],
      { env: { ...env }, timeout: 20_000, encoding: "utf8" },
      (_error, _stdout, text) => resolve(text),
    );
  });
  const lines = stderr.split("\n").map((line) => line.trimEnd());
  // The lines that start with spaces are Dawn's own call stack.
  return [...new Set(lines.filter((line) => line !== "" && !/^\s/.test(line) && !isRoutineMessage(line)))];
}
