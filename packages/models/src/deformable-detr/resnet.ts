import { type Activation, maxPool2d, type Recorder, type Tensor } from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import type { ResNetStructure } from "./backbone-config.ts";
import { type ConvSizes, FoldedConv, type FoldOptions } from "./folded-conv.ts";

/** Places of one residual block within the network. */
export interface BlockPlan {
  readonly inputs: number;
  readonly outputs: number;
  readonly stride: number;
  /** Of the block's first 3x3 convolution. */
  readonly firstDilation: number;
  /** Of a basic block's second one. */
  readonly dilation: number;
}

/** Strides and dilations of every block, by stage. The last stage keeps its resolution where it is dilated (DC5). */
export function planStages(
  s: ResNetStructure,
  widths: { stem: number; stages: readonly number[] },
): BlockPlan[][] {
  let inputs = widths.stem;
  return s.depths.map((depth, stage) => {
    const outputs = widths.stages[stage] as number;
    const dilated = s.dilateLastStage && stage === s.depths.length - 1;
    const strided = stage > 0 || s.downsampleInFirstStage;
    return Array.from({ length: depth }, (_, i): BlockPlan => {
      const dilation = dilated ? 2 : 1;
      const plan = {
        inputs,
        outputs,
        stride: i === 0 && strided && !dilated ? 2 : 1,
        // the dilation sets in behind what was the stride (timm's `first_dilation`)
        firstDilation: i === 0 ? 1 : dilation,
        dilation,
      };
      inputs = outputs;
      return plan;
    });
  });
}

/** One residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 around a quarter of the channels. */
class ResidualBlock {
  readonly layers: readonly FoldedConv[];
  readonly shortcut: FoldedConv | undefined;
  readonly activation: Activation;

  constructor(w: Weights, plan: BlockPlan, s: ResNetStructure, fold: FoldOptions) {
    const { inputs, outputs, stride } = plan;
    const conv = (name: string, sizes: ConvSizes) => new FoldedConv(w.at(name), sizes, fold);
    this.layers = (s.layerType === "basic" ? basicSizes(plan) : bottleneckSizes(plan, s)).map((sizes, i) =>
      conv(`layer.${i}`, sizes),
    );
    if (inputs !== outputs || stride !== 1)
      this.shortcut = conv("shortcut", { inputs, outputs, kernel: 1, stride, dilation: 1 });
    this.activation = s.activation;
  }

  forward(cmd: Recorder, x: Tensor): Tensor {
    const residual = this.shortcut ? this.shortcut.forward(cmd, x) : x; // [B, O, h', w']
    const last = this.layers.length - 1;
    return this.layers.reduce(
      (y, layer, i) =>
        layer.forward(cmd, y, { activation: this.activation, ...(i === last && { residual }) }),
      x,
    ); // [B, O, h', w']
  }
}

function basicSizes({ inputs, outputs, stride, firstDilation, dilation }: BlockPlan): ConvSizes[] {
  return [
    { inputs, outputs, kernel: 3, stride, dilation: firstDilation },
    { inputs: outputs, outputs, kernel: 3, stride: 1, dilation },
  ];
}

function bottleneckSizes(plan: BlockPlan, { downsampleInBottleneck }: ResNetStructure): ConvSizes[] {
  const { inputs, outputs, stride, firstDilation } = plan;
  const inner = Math.floor(outputs / 4);
  const [first, second] = downsampleInBottleneck ? [stride, 1] : [1, stride];
  return [
    { inputs, outputs: inner, kernel: 1, stride: first, dilation: 1 },
    { inputs: inner, outputs: inner, kernel: 3, stride: second, dilation: firstDilation },
    { inputs: inner, outputs, kernel: 1, stride: 1, dilation: 1 },
  ];
}

/** ResNet (He et al. 2015) with frozen batch norms folded away; names as Hugging Face's `ResNetBackbone`. */
export class ResNet {
  readonly structure: ResNetStructure;
  readonly stem: FoldedConv;
  readonly stages: readonly (readonly ResidualBlock[])[];
  /** Channels of each feature map that is used, finest first. */
  readonly channels: readonly number[];
  readonly #plan: readonly (readonly BlockPlan[])[];

  constructor(w: Weights, structure: ResNetStructure, fold: FoldOptions) {
    this.structure = structure;
    const widths = structure.widths ?? storedWidths(w, structure);
    this.#plan = planStages(structure, widths);
    this.stem = new FoldedConv(
      w.at("embedder.embedder"),
      { inputs: 3, outputs: widths.stem, kernel: 7, stride: 2, dilation: 1 },
      fold,
    );
    this.stages = this.#plan.map((blocks, stage) =>
      blocks.map(
        (plan, i) => new ResidualBlock(w.at(`encoder.stages.${stage}.layers.${i}`), plan, structure, fold),
      ),
    );
    this.channels = structure.outIndices.map((i) =>
      i === 0 ? widths.stem : (widths.stages[i - 1] as number),
    );
  }

  /** Feature maps at `outIndices`. pixels [B, 3, H, W] -> [B, C_i, h_i, w_i] */
  forward(cmd: Recorder, pixels: Tensor): Tensor[] {
    const stem = this.stem.forward(cmd, pixels, { activation: this.structure.activation }); // [B, C, H/2, W/2]
    let x = maxPool2d(cmd, stem, 3, { stride: 2, padding: 1 }); // [B, C, H/4, W/4]
    const maps = [x];
    for (const blocks of this.stages) {
      for (const block of blocks) x = block.forward(cmd, x); // [B, C_i, h_i, w_i]
      maps.push(x);
    }
    return this.structure.outIndices.map((i) => maps[i] as Tensor);
  }

  /** Height and width of each feature map that is used. Every stride of 2 gives ceil(n / 2). */
  mapSizes(height: number, width: number): [number, number][] {
    let stride = 4;
    const strides = [stride];
    for (const blocks of this.#plan) {
      for (const plan of blocks) stride *= plan.stride;
      strides.push(stride);
    }
    return this.structure.outIndices.map((i) => {
      const by = strides[i] as number;
      return [Math.ceil(height / by), Math.ceil(width / by)];
    });
  }
}

/** timm's networks come in any width: those of the stem and of each stage's last convolution. */
function storedWidths(
  w: Weights,
  { depths, layerType }: ResNetStructure,
): { stem: number; stages: number[] } {
  const outputs = (name: string) => w.shape(`${name}.convolution.weight`)[0] as number;
  const last = layerType === "basic" ? 1 : 2;
  return {
    stem: outputs("embedder.embedder"),
    stages: depths.map((_, stage) => outputs(`encoder.stages.${stage}.layers.0.layer.${last}`)),
  };
}
