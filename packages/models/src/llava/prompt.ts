import { PromptError } from "../generation/index.ts";
import { type ChatTemplate, type Tokenizer, vicunaPrompt } from "../text/index.ts";

/** The mark of a picture in a prompt. */
export const imageMark = "<image>";

/**
 * Ids of a prompt in which every `<image>` mark stands for one picture: as many image ids as the picture has visual tokens,
 * as Hugging Face's `LlavaProcessor` writes them.
 * @throws PromptError where marks and pictures do not match
 */
export function expandPrompt(
  prompt: string,
  tokenizer: Tokenizer,
  options: { imageTokenId: number; visualTokens: readonly number[]; addSpecialTokens?: boolean },
): number[] {
  const { imageTokenId, visualTokens, addSpecialTokens } = options;
  const marks = prompt.split(imageMark).length - 1;
  if (marks !== visualTokens.length) {
    throw new PromptError(
      `the prompt has ${marks} ${imageMark} mark${marks === 1 ? "" : "s"} for ${visualTokens.length} picture${visualTokens.length === 1 ? "" : "s"}`,
    );
  }
  if (marks > 0 && tokenizer.tokenId(imageMark) !== imageTokenId) {
    throw new PromptError(
      `the tokenizer knows ${imageMark} as ${tokenizer.tokenId(imageMark) ?? "no token"}, the model's image token is ${imageTokenId}`,
    );
  }
  let picture = 0;
  const expanded = prompt.replaceAll(imageMark, () => imageMark.repeat(visualTokens[picture++] ?? 0));
  return addSpecialTokens === undefined
    ? tokenizer.encodePrompt(expanded)
    : tokenizer.encode(expanded, { addSpecialTokens });
}

/** The prompt for a question about so many pictures: the checkpoint's chat template, or else LLaVA-1.5's conversation. */
export async function picturePrompt(
  template: ChatTemplate | undefined,
  question: string,
  pictures: number,
): Promise<string> {
  const [prompt] = await picturePrompts(template, [question], pictures);
  return prompt as string;
}

/** `picturePrompt` of many questions. */
export async function picturePrompts(
  template: ChatTemplate | undefined,
  questions: readonly string[],
  pictures: number,
): Promise<string[]> {
  const images = Array.from({ length: pictures }, () => ({ type: "image" as const }));
  const conversations = questions.map((text) => [
    { role: "user", content: [...images, { type: "text" as const, text }] },
  ]);
  return template
    ? template.renderAll(conversations)
    : conversations.map((conversation) => vicunaPrompt(conversation));
}
