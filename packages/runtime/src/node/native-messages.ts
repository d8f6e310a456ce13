import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** Lines that Dawn and the drivers write to the process' stderr on every start and that ask nothing of anybody. */
const routine: readonly RegExp[] = [
  /^Warning: maxDynamic(Uniform|Storage)BuffersPerPipelineLayout artificially reduced/,
  /^error: XDG_RUNTIME_DIR is invalid or not set/,
  /^WARNING: .*not a conformant/,
  /^Error: Loader Message: setup_loader_term_phys_devs: {2}Failed to detect any valid GPUs/,
  /^Warning: vkEnumeratePhysicalDevices$/,
];

/** What else comes while adapters are looked for and refused, which matters only where none is left. */
const chatter: readonly RegExp[] = [
  // Dawn's log: a warning, what it was doing, and its call stack.
  /^Warning: /,
  /^ - While \w/,
  /^\s+at .+ \(\S*third_party\/dawn\/\S+:\d+\)$/,
  /^Error: Loader Message: /,
  /^MESA(-\w+)?: (warning|info|debug): /,
];

/**
 * True for a line by which Dawn, the Vulkan loader or a driver reports on its start. `nativeMessages` tells what is
 * worth knowing of it when no adapter can be opened.
 */
export function isStartupMessage(line: string): boolean {
  return isRoutine(line) || chatter.some((pattern) => pattern.test(line));
}

function isRoutine(line: string): boolean {
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
  // The lines that start with spaces are Dawn's context and call stack.
  return [...new Set(lines.filter((line) => line !== "" && !/^\s/.test(line) && !isRoutine(line)))];
}
