import type { Device, Tensor } from "@mask-llava/runtime";
import type { Size } from "../common/sizes.ts";
import type { KernelCase } from "../kernels/cases.ts";
import { present } from "../kernels/cases.ts";
import { RotatedInputs } from "../kernels/inputs.ts";
import { networkCases } from "../kernels/shapes.ts";
import { clipTower } from "../networks/clip.ts";
import { llamaDecode, llamaPrefill } from "../networks/llama.ts";
import type { NetworkKind } from "../networks/network.ts";
import { samEncoder } from "../networks/sam.ts";
import { type Recorded, recordTraced } from "./recorded.ts";
import { isTranslatable } from "./translate/index.ts";

/** Something that both libraries can do. */
export interface PeerCase {
  readonly name: string;
  /** `kernel`: one op, on several sets of inputs; `network`: all of it once. */
  readonly kind: "kernel" | "network";
  /** The type of weights here, and of everything there. */
  readonly float: "f32" | "f16";
  open(device: Device, limits: SetLimits): Promise<OpenCase>;
}

/** How many sets of inputs a graph has, so that none is found in a cache. */
export interface SetLimits {
  /** Bytes that all sets take at least. */
  readonly bytes: number;
  /** FLOPs of all sets at most, unless one takes more. */
  readonly flops: number;
  readonly sets: number;
}

export interface OpenCase extends Recorded {
  /** How often the case is computed in a run. */
  readonly repeats: number;
  /** Of one of them. */
  readonly flops: number;
  readonly bytes: number;
}

/** Inputs that are weights: known when a graph is made, for either library to lay out as it likes. */
const weightNames: Readonly<Record<string, readonly string[]>> = {
  matmul: ["b", "bias", "gain", "up"],
  conv2d: ["weight", "bias"],
  embedding: ["table"],
  "layer-norm": ["weight", "bias"],
  "rms-norm": ["weight"],
  rope_append: ["invFreq"],
};

function kernelPeer(c: KernelCase): PeerCase {
  const plans = present(c.inputs());
  const float = plans.some(([, plan]) => plan.dtype === "f16") ? "f16" : "f32";
  const weights = new Set(weightNames[c.op.name] ?? []);
  return {
    name: c.name,
    kind: "kernel",
    float,
    async open(device, limits) {
      const specs = Object.fromEntries(plans);
      const { flops, bytes } = c.op.cost(specs, c.op.infer(specs, c.params), c.params);
      const affordable = Math.max(1, Math.floor(limits.flops / Math.max(flops, 1)));
      const inputs = await RotatedInputs.make(device, c, limits.bytes, Math.min(limits.sets, affordable));
      try {
        const fed = new Set(
          inputs.sets.flatMap((set) =>
            Object.entries(set).flatMap(([name, t]) => (weights.has(name) ? [] : [t.storage])),
          ),
        );
        const recorded = await recordTraced(
          device,
          c.name,
          (cmd) => inputs.sets.flatMap((set) => cmd.call(c.op, set, c.params)),
          (t) => fed.has(t.storage),
        );
        const dispose = () => {
          recorded[Symbol.dispose]();
          inputs[Symbol.dispose]();
        };
        return { ...recorded, repeats: inputs.sets.length, flops, bytes, [Symbol.dispose]: dispose };
      } catch (error) {
        inputs[Symbol.dispose]();
        throw error;
      }
    },
  };
}

function networkPeer(kind: NetworkKind, size: Size, float: "f32" | "f16"): PeerCase {
  return {
    name: `network ${kind.name}, ${kind.shape(size)}, ${float}`,
    kind: "network",
    float,
    async open(device) {
      const network = await kind.open(device, { size, dtype: float });
      try {
        const fed = new Set(network.inputs.map((t: Tensor) => t.storage));
        const recorded = await recordTraced(
          device,
          kind.name,
          (cmd) => network.record(cmd),
          (t) => fed.has(t.storage),
        );
        const { steps } = recorded.program;
        const dispose = () => {
          recorded[Symbol.dispose]();
          network[Symbol.dispose]();
        };
        return {
          ...recorded,
          repeats: 1,
          flops: steps.reduce((sum, s) => sum + s.cost.flops, 0),
          bytes: steps.reduce((sum, s) => sum + s.cost.bytes, 0),
          [Symbol.dispose]: dispose,
        };
      } catch (error) {
        network[Symbol.dispose]();
        throw error;
      }
    },
  };
}

/** The kernels' cases that ONNX Runtime's WebGPU provider has operators for, and networks made of them. */
export function peerCases(size: Size): PeerCase[] {
  const kernels = networkCases(size).filter(({ op }) => isTranslatable(op.name));
  const floats = ["f32", "f16"] as const;
  const networks = [clipTower, samEncoder, llamaPrefill, llamaDecode];
  return [
    ...kernels.map(kernelPeer),
    ...networks.flatMap((kind) => floats.map((float) => networkPeer(kind, size, float))),
  ];
}
