import {
  add,
  concat,
  conv2d,
  gatherRows,
  groupNorm,
  mul,
  pad,
  permute,
  type Recorder,
  sigmoid,
  type Tensor,
} from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { Linear } from "../nn/index.ts";
import type { Memory } from "./attention.ts";
import { inverseSigmoid } from "./boxes.ts";
import { type DeformableDetrConfig, normGroups } from "./config.ts";
import type { FoldOptions } from "./folded-conv.ts";
import { type DetectionHeads, loadHeads } from "./heads.ts";
import type { DetrInputs } from "./inputs.ts";
import { DecoderLayer, EncoderLayer, normEps } from "./layers.ts";
import { ProposalStage, type ProposalStates } from "./proposals.ts";
import { ResNet } from "./resnet.ts";

/** Every state of a forward pass, under the names of the reference's outputs. */
export interface DetrStates {
  /** Feature maps used, finest first. [B, C_i, h_i, w_i] */
  readonly backbone: readonly Tensor[];
  /** Behind the group norm, one a level. [B, D, h, w] */
  readonly inputProj: readonly Tensor[];
  /** [B, S, D] each; the last is `encoder_last_hidden_state`. */
  readonly encoderLayers: readonly Tensor[];
  /** [B | 1, Q, 2 | 4] */
  readonly initReferencePoints: Tensor;
  /** Behind each decoder layer, [B, Q, D]; the last is `last_hidden_state`. */
  readonly decoderLayers: readonly Tensor[];
  /** Behind each decoder layer. [B | 1, Q, 2 | 4] */
  readonly referencePoints: readonly Tensor[];
  /** [B, Q, C] */
  readonly logits: Tensor;
  /** (cx, cy, w, h) in the unit square of the picture. [B, Q, 4] */
  readonly predBoxes: Tensor;
  readonly proposals: ProposalStates | undefined;
}

/** A convolution and a group norm that bring a feature map to the transformer's width. */
class InputProjection {
  readonly weight: Tensor; // [D, C, k, k]
  readonly bias: Tensor; // [D]
  readonly normWeight: Tensor; // [D]
  readonly normBias: Tensor; // [D]
  readonly stride: number;

  /** 1x1 on a feature map of the backbone, or 3x3 with stride 2 for a level below the last. */
  constructor(w: Weights, inputs: number, width: number, stride: 1 | 2) {
    const kernel = stride === 1 ? 1 : 3;
    this.stride = stride;
    this.weight = w.take("0.weight", [width, inputs, kernel, kernel]);
    this.bias = w.take("0.bias", [width], { dtype: "f32" });
    this.normWeight = w.take("1.weight", [width], { dtype: "f32" });
    this.normBias = w.take("1.bias", [width], { dtype: "f32" });
  }

  /** [B, C, h, w] -> [B, D, ceil(h / stride), ceil(w / stride)] */
  forward(cmd: Recorder, x: Tensor): Tensor {
    const { stride, bias } = this;
    const y = conv2d(cmd, x, this.weight, { bias, stride, padding: stride - 1 }); // [B, D, h', w']
    return groupNorm(cmd, y, this.normWeight, this.normBias, normGroups, normEps);
  }
}

/** Learned queries of a one-stage model: their positions, their contents, and where they first look. */
class LearnedQueries {
  readonly positions: Tensor; // [1, Q, D]
  readonly contents: Tensor; // [1, Q, D]
  readonly referencePoints: Linear;

  constructor(w: Weights, { num_queries: queries, d_model: width }: DeformableDetrConfig) {
    const half = (label: string, column: number): Tensor =>
      w.derive({
        label,
        shape: [1, queries, width],
        dtype: "f32",
        from: { both: { name: "query_position_embeddings.weight", shape: [queries, 2 * width] } },
        compute: ({ both }) =>
          Float32Array.from({ length: queries * width }, (_, i) => {
            const row = Math.floor(i / width);
            return both?.[(2 * row + column) * width + (i % width)] as number;
          }),
      });
    this.positions = half("query positions", 0);
    this.contents = half("query contents", 1);
    this.referencePoints = Linear.load(w.at("reference_points"), width, 2);
  }
}

/** Deformable DETR (Zhu et al. 2020), as transformers' `DeformableDetrForObjectDetection`. */
export class DeformableDetrNetwork {
  readonly config: DeformableDetrConfig;
  readonly backbone: ResNet;
  readonly projections: readonly InputProjection[];
  readonly levelEmbed: Tensor; // [L, D]
  readonly encoder: readonly EncoderLayer[];
  readonly decoder: readonly DecoderLayer[];
  readonly heads: DetectionHeads;
  readonly queries: LearnedQueries | undefined;
  readonly proposals: ProposalStage | undefined;

  constructor(w: Weights, config: DeformableDetrConfig, fold: FoldOptions) {
    const { d_model: width, num_feature_levels: levels } = config;
    const m = w.at("model");
    this.config = config;
    this.backbone = new ResNet(m.at("backbone.model"), config.backbone, fold);
    const { channels } = this.backbone;
    this.projections = Array.from({ length: levels }, (_, i) => {
      const below = i - channels.length; // of the levels below the backbone's last map
      const inputs = below > 0 ? width : (channels.at(Math.min(i, channels.length - 1)) as number);
      return new InputProjection(m.at(`input_proj.${i}`), inputs, width, below < 0 ? 1 : 2);
    });
    this.levelEmbed = m.take("level_embed", [levels, width], { dtype: "f32" });
    const layers = (count: number) => Array.from({ length: count }, (_, i) => `layers.${i}`);
    this.encoder = layers(config.encoder_layers).map(
      (name) => new EncoderLayer(m.at("encoder").at(name), config),
    );
    this.decoder = layers(config.decoder_layers).map(
      (name) => new DecoderLayer(m.at("decoder").at(name), config),
    );
    this.heads = loadHeads(w, config, fold.file);
    if (config.two_stage) {
      const classHead = this.heads.classes.at(-1) as Linear;
      const boxHead = this.heads.boxes.at(-1) as DetectionHeads["boxes"][number];
      this.proposals = new ProposalStage(m, config, { classHead, boxHead });
    } else {
      this.queries = new LearnedQueries(m, config);
    }
  }

  /** [height, width] of each feature level for pictures of this size. */
  levelSizes(height: number, width: number): (readonly [number, number])[] {
    const sizes = this.backbone.mapSizes(height, width);
    while (sizes.length < this.config.num_feature_levels) {
      const [h, w] = sizes.at(-1) as [number, number];
      sizes.push([Math.ceil(h / 2), Math.ceil(w / 2)]);
    }
    return sizes;
  }

  forward(cmd: Recorder, inputs: DetrInputs): DetrStates {
    const backbone = this.backbone.forward(cmd, inputs.pixels); // [B, C_i, h_i, w_i]
    const inputProj = this.#project(cmd, backbone); // [B, D, h_i, w_i]
    const encoderLayers = this.#encode(cmd, inputProj, inputs); // [B, S, D]
    const memory = memoryOf(encoderLayers.at(-1) as Tensor, inputs);
    const start = this.#startingQueries(cmd, memory.states, inputs);

    const ratios = inputs.validRatios; // [B, 1, L, 2]
    const boxRatios = this.config.with_box_refine ? concat(cmd, [ratios, ratios], 3) : ratios; // [B, 1, L, 4]
    const decoderLayers: Tensor[] = [];
    const referencePoints: Tensor[] = [];
    let x = start.contents; // [B, Q, D]
    let references = start.references; // [B | 1, Q, 2 | 4]
    for (const [i, layer] of this.decoder.entries()) {
      const [rows, queries, coordinates] = references.shape as [number, number, number];
      const eachLevel = mul(
        cmd,
        references.reshape([rows, queries, 1, coordinates]),
        coordinates === 2 ? ratios : boxRatios,
      ); // [B, Q, L, 2 | 4]
      x = layer.forward(cmd, x, start.positions, eachLevel, memory); // [B, Q, D]
      if (this.config.with_box_refine) references = this.#refine(cmd, i, x, references); // [B, Q, 4]
      decoderLayers.push(x);
      referencePoints.push(references);
    }

    const last = this.decoder.length - 1;
    const before = last > 0 ? (referencePoints[last - 1] as Tensor) : start.references; // [B | 1, Q, 2 | 4]
    return {
      backbone,
      inputProj,
      encoderLayers,
      initReferencePoints: start.references,
      decoderLayers,
      referencePoints,
      logits: (this.heads.classes[last] as Linear).forward(cmd, x), // [B, Q, C]
      predBoxes: this.config.with_box_refine ? references : this.#refine(cmd, last, x, before), // [B, Q, 4]
      proposals: start.proposals,
    };
  }

  /** Levels below the backbone's come from its last map, and from each other. */
  #project(cmd: Recorder, maps: readonly Tensor[]): Tensor[] {
    const levels: Tensor[] = [];
    for (const [i, projection] of this.projections.entries()) {
      const below = i > maps.length ? levels.at(-1) : maps.at(Math.min(i, maps.length - 1)); // [B, C_i, h, w]
      levels.push(projection.forward(cmd, below as Tensor)); // [B, D, h_i, w_i]
    }
    return levels;
  }

  #encode(cmd: Recorder, maps: readonly Tensor[], inputs: DetrInputs): Tensor[] {
    const width = this.config.d_model;
    const flat = maps.map((map) => permute(cmd, map, [0, 2, 3, 1]).reshape([inputs.shape.batch, -1, width])); // [B, h_i w_i, D]
    let x = flat.length > 1 ? concat(cmd, flat, 1) : (flat[0] as Tensor); // [B, S, D]
    const levels = gatherRows(cmd, this.levelEmbed, inputs.levelOfCell); // [S, D]
    const positions = add(cmd, inputs.positions, levels); // [B, S, D]
    return this.encoder.map((layer) => {
      x = layer.forward(cmd, memoryOf(x, inputs), positions, inputs.encoderReferences); // [B, S, D]
      return x;
    });
  }

  #startingQueries(cmd: Recorder, encoded: Tensor, inputs: DetrInputs) {
    if (this.proposals && inputs.proposals) {
      const proposals = this.proposals.forward(cmd, encoded, inputs.proposals, inputs.proposals.waves);
      const { queries: contents, queryPositions: positions, references } = proposals;
      return { contents, positions, references, proposals };
    }
    const { positions, contents, referencePoints } = this.queries as LearnedQueries;
    const { batch } = inputs.shape;
    return {
      contents: batch > 1 ? concat(cmd, Array<Tensor>(batch).fill(contents), 0) : contents, // [B, Q, D]
      positions, // [1, Q, D]
      references: sigmoid(cmd, referencePoints.forward(cmd, positions)), // [1, Q, 2]
      proposals: undefined,
    };
  }

  /** A layer's box: its head's offsets from the reference, or its centre's from the point. -> [B, Q, 4] */
  #refine(cmd: Recorder, layer: number, x: Tensor, references: Tensor): Tensor {
    const offsets = (this.heads.boxes[layer] as DetectionHeads["boxes"][number]).forward(cmd, x); // [B, Q, 4]
    const from = inverseSigmoid(cmd, references); // [B | 1, Q, 2 | 4]
    const boxed =
      from.shape[2] === 4
        ? from
        : pad(cmd, from, [
            [0, 0],
            [0, 0],
            [0, 2],
          ]); // [B | 1, Q, 4], nothing added to the size
    return sigmoid(cmd, add(cmd, offsets, boxed)); // [B, Q, 4]
  }
}

function memoryOf(states: Tensor, inputs: DetrInputs): Memory {
  const { shape, levelSizes, valid } = inputs;
  return { states, levels: shape.levels, levelSizes, valid: shape.padded ? valid : undefined };
}
