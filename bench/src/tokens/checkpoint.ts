import { type AskOptions, gridSize, MaskLlava } from "@mask-llava/composer";
import { KvCache } from "@mask-llava/models";
import { decodeImage, FileFolder } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";
import type { CompositionName, Subject, SubjectDTypes } from "./subject.ts";

const question = "What is in the picture?";

/** A Mask-LLaVA checkpoint that is asked about a picture; `name` is what reports call it. */
export async function checkpointSubject(
  device: Device,
  folder: string,
  {
    name,
    dtype,
    kvDtype,
    picture: file,
  }: SubjectDTypes & { readonly name: string; readonly picture: string },
): Promise<Subject> {
  const picture = await decodeImage(file);
  const model = await MaskLlava.load(device, await FileFolder.open(folder), { dtype });
  try {
    const weightBytes = device.memory().live;
    const ask = (options: AskOptions) =>
      model.ask(picture, question, { ...options, cacheDtype: kvDtype, ignoreEos: true });
    const { composed, inputIds } = await ask({ maxNewTokens: 2 });
    const { grid, objects, kinds } = composed;
    const { vision, detect, segment, objectTokens } = composed.timings;
    const optionsFor = (composition: CompositionName, tokens: number): AskOptions => {
      if (composition === "LLaVA")
        return { tokens, patchGrid: grid, cls: false, background: false, objects: 0 };
      return tokens <= kinds.length ? { tokens } : { tokens, patchGrid: grid };
    };
    return {
      name,
      dtype,
      kvDtype,
      weightBytes,
      textTokens: inputIds.length - kinds.length,
      kvBytesPerToken: KvCache.bytes(model.language.config, { capacity: 1, dtype: kvDtype }),
      imageWork: { vision, detect, segment, objectTokens },
      most: (composition) => gridSize(grid) + (composition === "LLaVA" ? 0 : 1 + objects.length),
      async answer(composition, visualTokens, newTokens) {
        const asked = optionsFor(composition, visualTokens);
        const { timings, newIds } = await ask({ ...asked, maxNewTokens: newTokens });
        const { compose, prefill, decode } = timings;
        return { compose, prefill, step: decode / (newIds.length - 1) };
      },
      [Symbol.dispose]: () => model.dispose(),
    };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
