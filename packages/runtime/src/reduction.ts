import type { Capabilities } from "./capabilities.ts";
import { wgsl } from "./wgsl.ts";

/** How the threads of a workgroup combine their values: `subgroup` where the device has subgroups, else `workgroup`. */
export type ReductionMode = "subgroup" | "workgroup";

export interface Reduction {
  /** `fn reduce(value: T, t: ReduceThread) -> T`, the same result in every thread. May be called more than once. */
  readonly code: string;
  readonly enable: readonly string[];
  /** Parameters of the entry point; `thread` names them. */
  readonly parameters: string;
  /** Expression of the ReduceThread in the entry point. */
  readonly thread: string;
}

/**
 * Workgroup-wide sum or maximum of one value a thread, for workgroups of `size` threads (a power of two) in one
 * dimension. Call it in uniform control flow. The subgroup mode assumes nothing of how threads map to subgroups: the
 * elected thread of each writes its own place, all others write the identity.
 */
export function reduction(
  mode: ReductionMode,
  type: "f32" | "u32",
  operation: "add" | "max",
  size: number,
): Reduction {
  // the identity of max is only ever needed for keys, where 0 is the least
  const identity = type === "f32" ? "0.0" : "0u";
  const combine = operation === "add" ? "a + b" : "max(a, b)";
  if (mode === "subgroup") {
    const whole = operation === "add" ? "subgroupAdd" : "subgroupMax";
    return {
      enable: ["subgroups"],
      parameters:
        "@builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) lanes: u32",
      thread: "ReduceThread(li, lane, lanes)",
      code: wgsl`
struct ReduceThread { index: u32, lane: u32, lanes: u32 }
var<workgroup> reduce_parts: array<${type}, ${size}>;
fn reduce(value: ${type}, t: ReduceThread) -> ${type} {
  let mine = ${whole}(value);
  reduce_parts[t.index] = select(${identity}, mine, subgroupElect());
  workgroupBarrier();
  var a = ${identity};
  for (var i = t.lane; i < ${size}u; i += t.lanes) {
    let b = reduce_parts[i];
    a = ${combine};
  }
  let result = ${whole}(a);
  workgroupBarrier();
  return result;
}`,
    };
  }
  // two steps of about sqrt(size) values rather than a tree: two barriers, which software adapters compile slowly
  const few = 2 ** Math.ceil(Math.log2(size) / 2);
  return {
    enable: [],
    parameters: "@builtin(local_invocation_index) li: u32",
    thread: "ReduceThread(li)",
    code: wgsl`
struct ReduceThread { index: u32 }
var<workgroup> reduce_parts: array<${type}, ${size}>;
var<workgroup> reduce_few: array<${type}, ${few}>;
fn reduce(value: ${type}, t: ReduceThread) -> ${type} {
  reduce_parts[t.index] = value;
  workgroupBarrier();
  if (t.index < ${few}u) {
    var a = ${identity};
    for (var i = t.index; i < ${size}u; i += ${few}u) {
      let b = reduce_parts[i];
      a = ${combine};
    }
    reduce_few[t.index] = a;
  }
  workgroupBarrier();
  var a = ${identity};
  for (var i = 0u; i < ${few}u; i++) {
    let b = reduce_few[i];
    a = ${combine};
  }
  return a;
}`,
  };
}

/**
 * Threads that reduce a row of `width`: a long row is worth eight full subgroups. Devices with subgroups of 4 or 8 run
 * threads one after another, and a large workgroup only adds to what is to be reduced.
 */
export function reductionThreads(width: number, caps: Capabilities): number {
  const small = caps.subgroupSize > 0 && caps.subgroupSize < 16;
  return width > 1024 && !small ? 256 : 64;
}
