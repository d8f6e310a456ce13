import {
  type BatchControls,
  type BatchedGeneration,
  checkFinite,
  expandPrompt,
  type Folder,
  type GenerateControls,
  type Generation,
  type GenerationOptions,
  imageMark,
  type LanguageModel,
  type ModelLoadOptions,
  type Pixels,
  type ProcessedImage,
  type PromptFamily,
  picturePrompt,
  picturePrompts,
  splicedSource,
  Turns,
} from "@mask-llava/models";
import { CancelledError, type Device, type Tensor } from "@mask-llava/runtime";
import { type Analysis, type AnalysisTimings, Analyst, analysisBytes } from "./analysis.ts";
import { type BudgetOptions, planComposition } from "./budget.ts";
import { compose } from "./compose.ts";
import { contentHash, RecentResults } from "./content-hash.ts";
import { type DropPolicy, rankObjects } from "./drop.ts";
import { ComposeError } from "./errors.ts";
import type { HostValues } from "./host-rows.ts";
import { loadNetworks, type Networks } from "./networks.ts";
import type { FoundObject, GivenObjects } from "./objects.ts";
import type { MaskLlavaSettings } from "./settings.ts";
import type { Composition, Grid, TokenKind } from "./visual-tokens.ts";

/** A budget, and what goes when it is short. */
export interface Budget extends BudgetOptions {
  /** Which objects go when the budget is short; default `score`. */
  readonly dropPolicy?: DropPolicy | undefined;
  /** For the `random` policy. */
  readonly dropSeed?: number | undefined;
}

export interface ComposeOptions extends Budget, GivenObjects {
  readonly signal?: AbortSignal | undefined;
}

/** The visual tokens of a picture. */
export interface Composed {
  /** Before the projector, norms scaled; narrower kinds are padded with zeros. [N, D] */
  readonly visualTokens: HostValues;
  /** Behind the projector. [N, Dllm] */
  readonly visualEmbeds: HostValues;
  /** Kind of each token. */
  readonly kinds: readonly TokenKind[];
  /** Which of `objects` each token stands for; -1 for [CLS] and patches. */
  readonly tokenObjects: readonly number[];
  /** Everything that could have become an object token, the background last. */
  readonly objects: readonly FoundObject[];
  readonly composition: Composition;
  /** MaskInversion's last explainability map of each object [M, H, W]; undefined for pooled object tokens. */
  readonly maps: HostValues | undefined;
  /** Grid of the vision tower's patches, and what it saw. */
  readonly grid: Grid;
  readonly processed: ProcessedImage;
  /** Wall milliseconds; those of image work are what it took when it was done, also where it was remembered. */
  readonly timings: AnalysisTimings & { readonly compose: number };
  /** Whether the image work was remembered from an earlier call. */
  readonly remembered: boolean;
}

export interface AskOptions extends ComposeOptions, GenerationOptions, GenerateControls {
  /** The prompt verbatim, with one `<image>` mark, instead of one made from the question. */
  readonly prompt?: string | undefined;
  /** Whether the tokenizer adds BOS to it; default: where it does not begin with it. */
  readonly addSpecialTokens?: boolean | undefined;
}

export interface MaskLlavaAnswer extends Omit<Generation, "timings"> {
  readonly composed: Composed;
  readonly timings: Composed["timings"] & Generation["timings"];
}

/** What is asked about a picture's tokens within one budget. */
export interface PicturePrompts extends Budget {
  /** Verbatim, each with one `<image>` mark; `promptsFor` makes them from questions. */
  readonly prompts: readonly string[];
}

/** Answers to `PicturePrompts`. */
export interface PictureAnswers {
  readonly composed: Composed;
  /** One a prompt. */
  readonly answers: readonly BatchedGeneration[];
}

interface Analysed {
  readonly analysis: Analysis;
  /** Whether it was remembered from an earlier call. */
  readonly remembered: boolean;
}

/** Pictures whose image work is remembered: their objects have masks of as many bytes as a picture has pixels. */
const remembered = { most: 8, bytes: 512 * 2 ** 20 };

/**
 * Mask-LLaVA ("When LLaVA Meets Objects", 2026): a picture becomes [CLS], pooled patches and object tokens, as many as the
 * budget allows, and a LLaMA decoder answers. The front door of the library. Owns its networks; overlapping calls take turns.
 */
export class MaskLlava implements Disposable {
  readonly device: Device;
  readonly #networks: Networks;
  readonly #analyst: Analyst;
  readonly #analyses = new RecentResults<Analysis>(remembered, analysisBytes);
  readonly #turns = new Turns();
  readonly #imageTokenId: number;

  private constructor(device: Device, networks: Networks) {
    this.device = device;
    this.#networks = networks;
    this.#analyst = new Analyst(device, networks);
    const id = networks.language.tokenizer.tokenId(imageMark);
    if (id === undefined) throw new ComposeError(`the language model's tokenizer has no ${imageMark} token`);
    this.#imageTokenId = id;
  }

  /** Loads a folder with `mask_llava.json` and the sub-folders that it names. */
  static async load(device: Device, folder: Folder, options: ModelLoadOptions = {}): Promise<MaskLlava> {
    const networks = await loadNetworks(device, folder, options);
    try {
      return new MaskLlava(device, networks);
    } catch (error) {
      networks[Symbol.dispose]();
      throw error;
    }
  }

  get settings(): MaskLlavaSettings {
    return this.#networks.settings;
  }

  /** Side of a patch of the vision tower, in pixels of what it sees. */
  get patchSize(): number {
    return this.#networks.clip.vision.config.patch_size;
  }

  get language(): LanguageModel {
    return this.#networks.language;
  }

  /** All that the networks say of a picture, whatever the budget; remembered for compositions and questions that follow. */
  analyse(picture: Pixels, options: GivenObjects & { signal?: AbortSignal } = {}): Promise<Analysis> {
    return this.#turns.take(async () => (await this.#analyse(picture, options)).analysis);
  }

  /**
   * The visual tokens of a picture within a budget.
   * @throws ComposeError for a budget or boxes that do not fit; RuntimeError NOT_FINITE for weights that lead to no numbers
   */
  compose(picture: Pixels, options: ComposeOptions = {}): Promise<Composed> {
    return this.#turns.take(async () => {
      const analysed = await this.#analyse(picture, options);
      const { composed, embeds } = await this.#compose(analysed, this.#plan(analysed.analysis, options));
      embeds.dispose();
      return composed;
    });
  }

  /** Answers a question about a picture. */
  ask(picture: Pixels, question: string, options: AskOptions = {}): Promise<MaskLlavaAnswer> {
    return this.#turns.take(async () => {
      const { prompt, addSpecialTokens, ...rest } = options;
      const analysed = await this.#analyse(picture, options);
      const { composed, embeds } = await this.#compose(analysed, this.#plan(analysed.analysis, options));
      try {
        const { language } = this.#networks;
        const text = prompt ?? (await picturePrompt(language.chatTemplate, question, 1));
        const ids = expandPrompt(text, language.tokenizer, {
          imageTokenId: this.#imageTokenId,
          visualTokens: [composed.kinds.length],
          ...(addSpecialTokens === undefined ? {} : { addSpecialTokens }),
        });
        const source = splicedSource(language.network, ids, this.#imageTokenId, embeds);
        const answer = await language.continue(source, generationOnly(rest));
        return { ...answer, composed, timings: { ...composed.timings, ...answer.timings } };
      } finally {
        embeds.dispose();
      }
    });
  }

  /** The prompt of each question about a picture. */
  promptsFor(questions: readonly string[]): Promise<string[]> {
    return picturePrompts(this.#networks.language.chatTemplate, questions, 1);
  }

  /**
   * Answers prompts about a picture within several budgets, each answer as `ask` gives it but for the rounding of sums. The
   * picture is analysed once, each budget's tokens are run once (and once for all budgets that keep the same ones), and all
   * answers are decoded side by side.
   * @returns answers of each request; milliseconds of all together
   */
  askAll(
    picture: Pixels,
    requests: readonly PicturePrompts[],
    options: GenerationOptions & BatchControls = {},
  ): Promise<{ readonly replies: PictureAnswers[]; readonly timings: MaskLlavaAnswer["timings"] }> {
    return this.#turns.take(async () => {
      const { language } = this.#networks;
      const analysed = await this.#analyse(picture, { signal: options.signal });
      const imageTokenId = this.#imageTokenId;
      // budgets may come to the same tokens: a picture with few objects drops none
      const groups = new Map<string, { composed: Composed; visual: Tensor; prompts: number[][] }>();
      const places: { key: string; first: number; count: number }[] = [];
      try {
        for (const { prompts, ...budget } of requests) {
          const composition = this.#plan(analysed.analysis, budget);
          const key = JSON.stringify(composition);
          let group = groups.get(key);
          if (!group) {
            const { composed, embeds: visual } = await this.#compose(analysed, composition);
            group = { composed, visual, prompts: [] };
            groups.set(key, group);
          }
          places.push({ key, first: group.prompts.length, count: prompts.length });
          const visualTokens = [group.composed.kinds.length];
          for (const prompt of prompts)
            group.prompts.push(expandPrompt(prompt, language.tokenizer, { imageTokenId, visualTokens }));
        }
        const families = [...groups.values()].map(({ prompts, visual }): PromptFamily => {
          return { prompts, visual, imageTokenId };
        });
        const { generations, timings } = await language.continueAll(families, options);
        const keys = [...groups.keys()];
        const replies = places.map(({ key, first, count }): PictureAnswers => {
          const answers = generations[keys.indexOf(key)]?.slice(first, first + count) ?? [];
          return { composed: (groups.get(key) as { composed: Composed }).composed, answers };
        });
        const compose = [...groups.values()].reduce((sum, group) => sum + group.composed.timings.compose, 0);
        return { replies, timings: { ...analysed.analysis.timings, compose, ...timings } };
      } finally {
        for (const { visual } of groups.values()) visual.dispose();
      }
    });
  }

  dispose(): void {
    this.#analyst.dispose();
    this.#networks[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #analyse(
    picture: Pixels,
    options: GivenObjects & { readonly signal?: AbortSignal | undefined },
  ): Promise<Analysed> {
    const { signal } = options;
    if (signal?.aborted) throw new CancelledError();
    let remembered = true;
    const analysis = await this.#analyses.get(await pictureKey(picture, options), () => {
      remembered = false;
      return this.#analyst.analyse(picture, options, signal);
    });
    if (signal?.aborted) throw new CancelledError();
    return { analysis, remembered };
  }

  /** Which tokens of a picture a budget keeps. */
  #plan({ objects: candidates, objectTokens, grid }: Analysis, options: Budget): Composition {
    const ranking = rankObjects(candidates, objectTokens, {
      policy: options.dropPolicy ?? "score",
      ...(options.dropSeed === undefined ? {} : { seed: options.dropSeed }),
    });
    const [rows, columns] = this.#networks.settings.patch_grid;
    return planComposition({ grid: { rows, columns }, largestGrid: grid, candidates, ranking }, options);
  }

  /** `embeds` [N, Dllm] is the caller's. */
  async #compose(
    { analysis, remembered }: Analysed,
    composition: Composition,
  ): Promise<{ composed: Composed; embeds: Tensor }> {
    const started = performance.now();
    const { cls, patches, objectTokens, objects: candidates, grid, processed, maps } = analysis;
    const { settings, projector } = this.#networks;
    const cmd = this.device.record("compose");
    const upload = (label: string, values: { width: number; data: Float32Array }) =>
      cmd.constant(
        { shape: [values.data.length / values.width, values.width], dtype: "f32", label },
        values.data,
      );
    const tokens = compose(
      cmd,
      {
        cls: upload("cls", cls), // [1, Dv]
        patches: upload("patches", patches), // [rows · columns, Dv]
        grid,
        objects: candidates.length ? upload("objects", objectTokens) : undefined, // [M, Do]
        candidates,
      },
      composition,
      settings,
      projector,
    );
    const { visualTokens, visualEmbeds } = tokens;
    using program = await cmd.finish({ outputs: [visualTokens, visualEmbeds] });
    const [before, behind] = await program.runAndRead([visualTokens, visualEmbeds]);
    checkFinite("Mask-LLaVA's visual tokens", before as Float32Array);
    checkFinite("Mask-LLaVA's visual embeddings", behind as Float32Array);
    const composed: Composed = {
      visualTokens: { shape: visualTokens.shape, data: before as Float32Array },
      visualEmbeds: { shape: visualEmbeds.shape, data: behind as Float32Array },
      kinds: tokens.kinds,
      tokenObjects: tokens.candidates,
      objects: candidates,
      composition,
      maps,
      grid,
      processed,
      timings: { ...analysis.timings, compose: performance.now() - started },
      remembered,
    };
    return { composed, embeds: program.take(visualEmbeds) };
  }
}

/** Everything that the image work depends on. */
function pictureKey(picture: Pixels, { boxes, masks }: GivenObjects): Promise<string> {
  const shape = `${picture.width}x${picture.height}`;
  const given = JSON.stringify({ boxes, masks: masks?.map(({ width, height }) => [width, height]) });
  return contentHash([shape, picture.data, given, ...(masks ?? []).map(({ data }) => data)]);
}

/** What `LanguageModel.continue` takes of an ask's options. */
function generationOnly(
  options: Omit<AskOptions, "prompt" | "addSpecialTokens">,
): GenerationOptions & GenerateControls {
  const { tokens, objects, patchGrid, cls, patches, background, shortage, ...rest } = options;
  const { boxes, masks, dropPolicy, dropSeed, ...generation } = rest;
  return generation;
}
