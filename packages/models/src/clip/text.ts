import { add, embedding, gatherRows, type Recorder, slice, type Tensor } from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm, TransformerBlock } from "../nn/index.ts";
import type { ClipTextConfig } from "./config.ts";

export interface ClipTextOutput {
  /** As Hugging Face's tuple: `hiddenStates[i]` enters block i. [B, T, D] */
  readonly hiddenStates: readonly Tensor[];
  /** Behind the final layer norm. [B, T, D] */
  readonly lastHiddenState: Tensor;
  /** The end-of-text token's row of it. [B, D] */
  readonly pooled: Tensor;
}

/** CLIP's text transformer (causal; transformers' `CLIPTextTransformer`). */
export class ClipTextTower {
  readonly config: ClipTextConfig;
  readonly blocks: readonly TransformerBlock[];
  readonly finalNorm: LayerNorm;
  readonly #tokens: Tensor;
  readonly #positions: Tensor;

  constructor(w: Weights, config: ClipTextConfig) {
    this.config = config;
    const { hidden_size: width, vocab_size: vocabulary, max_position_embeddings: positions } = config;
    this.#tokens = w.take("embeddings.token_embedding.weight", [vocabulary, width]);
    this.#positions = w.take("embeddings.position_embedding.weight", [positions, width], { dtype: "f32" });
    this.blocks = Array.from(
      { length: config.num_hidden_layers },
      (_, i) => new TransformerBlock(w.at(`encoder.layers.${i}`), config),
    );
    this.finalNorm = LayerNorm.load(w.at("final_layer_norm"), width, config.layer_norm_eps);
  }

  /**
   * Where each text ends: the first end-of-text id or, for files that say 2 (transformers' legacy rule), the largest id.
   * @returns one index into T a text
   */
  endPositions(ids: readonly (readonly number[])[]): number[] {
    const { eos_token_id: eos } = this.config;
    return ids.map((text) => {
      if (eos === 2) return text.indexOf(Math.max(...text));
      const at = text.indexOf(eos);
      return at < 0 ? 0 : at; // as argmax over (ids == eos) gives it in the reference
    });
  }

  /**
   * Texts of equal length (padded on the right, which a causal tower does not see before the end).
   * @param ids u32 [B, T]
   * @param ends u32 [B]: rows of [B·T] that `endPositions` found
   */
  forward(cmd: Recorder, ids: Tensor, ends: Tensor): ClipTextOutput {
    const [batch, tokens] = ids.shape as [number, number];
    const { hidden_size: width } = this.config;
    const positions = slice(cmd, this.#positions, [0, 0], [tokens, width]); // [T, D]
    let x = add(cmd, embedding(cmd, this.#tokens, ids), positions); // [B, T, D]
    const hiddenStates = [x];
    for (const block of this.blocks) {
      x = block.forward(cmd, x, { causal: true }); // [B, T, D]
      hiddenStates.push(x);
    }
    const lastHiddenState = this.finalNorm.forward(cmd, x); // [B, T, D]
    const pooled = gatherRows(cmd, lastHiddenState.reshape([batch * tokens, width]), ends); // [B, D]
    return { hiddenStates, lastHiddenState, pooled };
  }
}
