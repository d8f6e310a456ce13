import { Template } from "@huggingface/jinja";
import { ConfigError, describe } from "../checkpoint/errors.ts";
import { type Folder, readJson, readText } from "../checkpoint/folder.ts";
import { ChatTemplateError } from "./errors.ts";

export type ChatPart = { readonly type: "text"; readonly text: string } | { readonly type: "image" };

export interface ChatMessage {
  readonly role: string;
  /** Text, or for templates of models that see pictures a list of parts. */
  readonly content: string | readonly ChatPart[];
}

/** What a template is given: plain JSON, so that it can cross to a worker. */
export type TemplateContext = Readonly<Record<string, unknown>>;

/** Renders a Jinja template, once for each context. Templates come with checkpoints and are not trusted. */
export interface TemplateRenderer {
  render(template: string, contexts: readonly TemplateContext[]): Promise<string[]>;
}

/** Text that a template may produce; far above any model's context. */
export const maxPromptLength = 16 * 2 ** 20;

/**
 * Renders in this thread, without a bound on time: a hostile template can block it for ever. For templates that the caller
 * trusts; Node programs use `WorkerTemplateRenderer`, browsers a web worker of their own.
 */
export class InlineTemplateRenderer implements TemplateRenderer {
  async render(template: string, contexts: readonly TemplateContext[]): Promise<string[]> {
    return contexts.map((context) => renderTemplate(template, context));
  }
}

/** Renders with Hugging Face's settings (`trim_blocks`, `lstrip_blocks`, `raise_exception`, the `generation` tag). */
export function renderTemplate(template: string, context: TemplateContext): string {
  let text: unknown;
  try {
    text = new Template(template).render({ ...context });
  } catch (cause) {
    throw new ChatTemplateError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  return checkPrompt(text);
}

export function checkPrompt(text: unknown): string {
  if (typeof text !== "string") throw new ChatTemplateError(`gave ${describe(text)} instead of text`);
  if (text.length > maxPromptLength) {
    throw new ChatTemplateError(`gave ${text.length} characters, more than ${maxPromptLength}`);
  }
  return text;
}

/** Conversations that a renderer is given at once; bounds what it holds in memory. */
const conversationsAtOnce = 1000;

/** A checkpoint's chat template with the special tokens that it may write. */
export class ChatTemplate {
  readonly template: string;
  readonly #specialTokens: Readonly<Record<string, string>>;
  readonly #renderer: TemplateRenderer;

  /** @param specialTokens `bos_token`, `eos_token`, …: `Tokenizer.specialTokens` */
  constructor(template: string, specialTokens: Readonly<Record<string, string>>, renderer: TemplateRenderer) {
    this.template = template;
    this.#specialTokens = specialTokens;
    this.#renderer = renderer;
  }

  /**
   * The template of a checkpoint folder, or undefined where it has none: chat_template.jinja, else chat_template.json, else
   * `chat_template` of tokenizer_config.json (of several named ones, `default`).
   */
  static async load(
    folder: Folder,
    specialTokens: Readonly<Record<string, string>>,
    renderer: TemplateRenderer,
  ): Promise<ChatTemplate | undefined> {
    const template =
      (await readText(folder, "chat_template.jinja")) ??
      (await templateIn(folder, "chat_template.json")) ??
      (await templateIn(folder, "tokenizer_config.json"));
    return template === undefined ? undefined : new ChatTemplate(template, specialTokens, renderer);
  }

  /**
   * The prompt for a conversation, special tokens written out.
   * @param options.addGenerationPrompt end with what begins an answer; default true
   */
  async render(
    messages: readonly ChatMessage[],
    options: { addGenerationPrompt?: boolean } = {},
  ): Promise<string> {
    const [prompt] = await this.renderAll([messages], options);
    return prompt as string;
  }

  /** `render` of many conversations: a renderer that starts a process starts one for a thousand of them. */
  async renderAll(
    conversations: readonly (readonly ChatMessage[])[],
    options: { addGenerationPrompt?: boolean } = {},
  ): Promise<string[]> {
    const prompts: string[] = [];
    for (let from = 0; from < conversations.length; from += conversationsAtOnce) {
      const contexts = conversations.slice(from, from + conversationsAtOnce).map((messages) => ({
        ...this.#specialTokens,
        messages,
        add_generation_prompt: options.addGenerationPrompt ?? true,
        tools: null,
        documents: null,
      }));
      prompts.push(...(await this.#renderer.render(this.template, contexts)));
    }
    return prompts;
  }
}

async function templateIn(folder: Folder, file: string): Promise<string | undefined> {
  const json = (await readJson(folder, file)) as { chat_template?: unknown } | null | undefined;
  const template = json?.chat_template;
  if (template === undefined || template === null || typeof template === "string")
    return template ?? undefined;
  if (Array.isArray(template)) {
    const named = template.find(
      (t): t is { template: string } => t?.name === "default" && typeof t?.template === "string",
    );
    if (named) return named.template;
  }
  throw new ConfigError(file, "chat_template", "is not usable", {
    found: describe(template),
    expected: 'a template, or a list of {name, template} with a "default"',
  });
}

const vicunaSystem =
  "A chat between a curious user and an artificial intelligence assistant. " +
  "The assistant gives helpful, detailed, and polite answers to the user's questions.";

/**
 * LLaVA-1.5's conversation (`vicuna_v1` of the original implementation), for LLaVA checkpoints without a template: pictures of a
 * turn come first, each as `<image>` and a line break. A leading `system` message replaces the default one.
 */
export function vicunaPrompt(
  messages: readonly ChatMessage[],
  options: { addGenerationPrompt?: boolean; eosToken?: string } = {},
): string {
  const [first] = messages;
  const turns = first?.role === "system" ? messages.slice(1) : messages;
  let prompt = `${first?.role === "system" ? plainText(first.content) : vicunaSystem} `;
  for (const [i, { role, content }] of turns.entries()) {
    const expected = i % 2 === 0 ? "user" : "assistant";
    if (role !== expected) {
      throw new ChatTemplateError(
        `turns must alternate between user and assistant (turn ${i + 1} is ${describe(role)})`,
      );
    }
    const text = plainText(content);
    prompt += expected === "user" ? `USER: ${text} ` : `ASSISTANT: ${text}${options.eosToken ?? "</s>"}`;
  }
  return options.addGenerationPrompt === false ? prompt.replace(/ $/, "") : `${prompt}ASSISTANT:`;
}

/** Content as the text that `vicunaPrompt` writes. */
function plainText(content: ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  const pictures = content.filter((p) => p.type === "image").map(() => "<image>\n");
  const texts = content.map((p) => (p.type === "text" ? p.text : ""));
  return [...pictures, ...texts].join("");
}
