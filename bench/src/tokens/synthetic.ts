import {
  type Composition,
  compose,
  type Grid,
  gridSize,
  type ObjectCandidate,
  Projector,
  parseSettings,
  planComposition,
  tokenCount,
} from "@mask-llava/composer";
import {
  generate,
  generationSettings,
  KvCache,
  LlamaNetwork,
  llamaConfigSchema,
  RandomWeights,
  ropeTable,
  splicedSource,
  Tokenizer,
} from "@mask-llava/models";
import { type Device, Random, type Tensor } from "@mask-llava/runtime";
import { activationBytes, decoderBytes } from "./prediction.ts";
import type { AnswerTimes, CompositionName, Subject, SubjectDTypes } from "./subject.ts";
import { type SyntheticName, type SyntheticShape, syntheticShapes } from "./synthetic-shapes.ts";

/** Objects of the picture, beside its background. */
const objects = 30;
/** Stands for a visual token in a prompt. */
const imageTokenId = 3;
/** Most tokens of prompt and answer. */
const context = 4096;

/**
 * A decoder of random weights that are made on the GPU, behind the real composition and the real projector. Its picture's
 * features are random too: what they would cost is measured by `models`.
 */
export async function syntheticSubject(
  device: Device,
  name: SyntheticName,
  { dtype, kvDtype, textTokens }: SubjectDTypes & { readonly textTokens: number },
): Promise<Subject> {
  const shape: SyntheticShape = syntheticShapes[name];
  const owned: Disposable[] = [];
  const dispose = (): void => {
    for (const resource of owned.reverse()) resource[Symbol.dispose]();
  };
  const own = <T extends Disposable>(resource: T): T => {
    owned.push(resource);
    return resource;
  };
  try {
    const config = llamaConfigSchema.parse({
      hidden_size: shape.hidden,
      intermediate_size: shape.inner,
      num_hidden_layers: shape.layers,
      num_attention_heads: shape.heads,
      num_key_value_heads: shape.kvHeads,
      vocab_size: shape.vocabulary,
      max_position_embeddings: context,
      rms_norm_eps: 1e-5,
    });
    const weights = own(new RandomWeights(device, { dtype }));
    const rope = ropeTable(device, config);
    own(rope.inverseFrequencies);
    const network = new LlamaNetwork(weights.weights, config, rope);
    await weights.load();
    const settings = parseSettings({});
    const { width, joint, side } = shape.vision;
    const widths = { cls: width, patch: width, object: joint };
    const projectorWeights = new RandomWeights(device, { dtype, seed: 2 });
    const projector = own(
      await Projector.fromWeights(projectorWeights, { settings, widths, outputs: shape.hidden }),
    );
    const features = new PictureFeatures(device, { width, joint, side });
    own(features);
    const tokenizer = wordTokenizer(shape.vocabulary);
    const random = new Random(11);
    const kvBytesPerToken = KvCache.bytes(config, { capacity: 1, dtype: kvDtype });
    const words = (count: number) => Array.from({ length: count }, () => random.integer(4, shape.vocabulary));
    const [before, behind] = [words(Math.floor(textTokens / 2)), words(Math.ceil(textTokens / 2))];
    return {
      name: `synthetic ${name}`,
      dtype,
      kvDtype,
      weightBytes: weights.bytes + projectorWeights.bytes,
      textTokens,
      kvBytesPerToken,
      predictBytes: (promptTokens, newTokens) =>
        decoderBytes(config, dtype) +
        projectorWeights.bytes +
        kvBytesPerToken * (promptTokens + newTokens) +
        activationBytes(config, promptTokens),
      imageWork: undefined,
      most: (composition) => (composition === "LLaVA" ? side * side : tokenCount(features.plan({}, side))),
      async answer(composition, visualTokens, newTokens): Promise<AnswerTimes> {
        const begun = performance.now();
        const plan = features.planFor(composition, visualTokens);
        const cmd = device.record("compose");
        const { visualEmbeds } = compose(cmd, features.sources, plan, settings, projector); // [N, D]
        using program = await cmd.finish({ outputs: [visualEmbeds] });
        program.run();
        await device.idle();
        using visual = program.take(visualEmbeds);
        const composed = performance.now() - begun;
        const ids = [...before, ...Array<number>(visualTokens).fill(imageTokenId), ...behind];
        const source = splicedSource(network, ids, imageTokenId, visual);
        const wanted = generationSettings({}, undefined, { maxNewTokens: newTokens, ignoreEos: true });
        const { timings, newIds } = await generate(device, network, tokenizer, source, wanted, {
          cacheDtype: kvDtype,
        });
        return { compose: composed, prefill: timings.prefill, step: timings.decode / (newIds.length - 1) };
      },
      [Symbol.dispose]: dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** A picture as the networks before the decoder would describe it: random tokens. */
class PictureFeatures implements Disposable {
  readonly grid: Grid;
  readonly candidates: readonly ObjectCandidate[];
  readonly sources: {
    cls: Tensor;
    patches: Tensor;
    grid: Grid;
    objects: Tensor;
    candidates: readonly ObjectCandidate[];
  };
  readonly #device: Device;

  constructor(device: Device, { width, joint, side }: SyntheticShape["vision"]) {
    this.#device = device;
    this.grid = { rows: side, columns: side };
    this.candidates = Array.from({ length: objects + 1 }, (_, i) => ({
      kind: i < objects ? "object" : "background",
      score: i < objects ? 1 - i / objects : 0,
      area: 1 / (i + 2),
    }));
    this.sources = {
      cls: this.#tokens("cls", 1, width), // [1, Dv]
      patches: this.#tokens("patches", side * side, width), // [N, Dv]
      grid: this.grid,
      objects: this.#tokens("objects", objects + 1, joint), // [M, Do]
      candidates: this.candidates,
    };
  }

  /** Mask-LLaVA's plan takes the checkpoint's pooled grid while it suffices, then the whole one. */
  planFor(composition: CompositionName, tokens: number): Composition {
    const { rows: side } = this.grid;
    if (composition === "LLaVA")
      return this.plan({ tokens, cls: false, background: false, objects: 0 }, side);
    const pooled = parseSettings({}).patch_grid[0];
    return this.plan({ tokens }, tokens <= tokenCount(this.plan({}, pooled)) ? pooled : side);
  }

  plan(options: Parameters<typeof planComposition>[1], side: number): Composition {
    const grid = { rows: Math.min(side, this.grid.rows), columns: Math.min(side, this.grid.columns) };
    const ranking = this.candidates.map((_, i) => i);
    return planComposition({ grid, largestGrid: this.grid, candidates: this.candidates, ranking }, options);
  }

  [Symbol.dispose](): void {
    for (const t of [this.sources.cls, this.sources.patches, this.sources.objects]) t.dispose();
  }

  #tokens(label: string, count: number, width: number): Tensor {
    const random = new Random(gridSize({ rows: count, columns: width }));
    const values = Float32Array.from({ length: count * width }, () => 2 * random.uniform() - 1);
    return this.#device.tensor({ shape: [count, width], dtype: "f32", label }, values);
  }
}

/** A word a token: what streams an answer's text needs one. */
function wordTokenizer(vocabulary: number): Tokenizer {
  const words = Array.from({ length: vocabulary }, (_, i) => [`w${i}`, i]);
  return new Tokenizer({
    tokenizer: {
      version: "1.0",
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "WhitespaceSplit" },
      post_processor: null,
      decoder: null,
      model: { type: "WordLevel", vocab: Object.fromEntries(words), unk_token: "w0" },
    },
  });
}
