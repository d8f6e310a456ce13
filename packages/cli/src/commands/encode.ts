import { ClipEncoder } from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import { Command } from "commander";
import { sayEmbedded } from "../embedded.ts";
import { addModelFlags, listFlag, type ModelFlags, modelFlag } from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import type { Io } from "../io.ts";
import { openModelFolder } from "../model-folder.ts";
import type { EncodeOutput } from "../output.ts";
import { checkOutputs } from "../output-files.ts";
import { withProgress } from "../progress.ts";
import { report } from "../report.ts";
import { type SavedTensors, writeTensors } from "../save-tensors.ts";
import { Stopwatch } from "../stopwatch.ts";
import { floatDTypes, settleDtype } from "../weight-dtype.ts";

interface EncodeFlags extends ModelFlags {
  readonly text?: readonly string[];
}

/** `mask-llava encode`: a picture's embedding and, with texts, how well each fits. */
export function encodeCommand(io: Io): Command {
  const command = new Command("encode")
    .description("embed a picture with CLIP and, with texts, say how well each fits it")
    .argument("<image>", "picture file: JPEG, PNG, GIF, WebP, TIFF or AVIF")
    .addOption(
      modelFlag("checkpoint folder of a CLIP model in Hugging Face's layout (default: the embedded one)"),
    )
    .addOption(listFlag("--text <text>", "a text to compare the picture with"));
  return addModelFlags(command, floatDTypes)
    .addHelpText(
      "after",
      `
On stdout: the L2-normalised image embedding or, with --text, the zero-shot probability of each text.
--save-tensors writes pixel_values, last_hidden_state, pooler_output, image_embeds and, with --text, input_ids,
text_embeds and probs.

Examples:
  mask-llava encode cat.jpg --model clip-vit-large-patch14-336
  mask-llava encode cat.jpg --model clip-vit-base-patch32 --text "a photo of a cat" --text "a photo of a dog"
  mask-llava encode cat.jpg --model clip-vit-base-patch32 --json --save-tensors cat.safetensors`,
    )
    .action((image: string, flags: EncodeFlags) => encode(image, flags, io));
}

async function encode(image: string, flags: EncodeFlags, io: Io): Promise<void> {
  const watch = new Stopwatch();
  await checkOutputs(flags, [image]);
  const { folder } = await openModelFolder(flags.model, ["clip"]);
  sayEmbedded(flags, io);
  const picture = await watch.time("decodeImage", () => decodeImage(image));
  await withDevice(flags, io, watch, async (device) => {
    const settled = await settleDtype(device, flags, folder, io, floatDTypes);
    using encoder = await watch.time("load", () =>
      withProgress(io.stderr, "loading", (onProgress) =>
        ClipEncoder.load(device, folder, { dtype: settled.dtype, signal: io.signal, onProgress }),
      ),
    );
    const encoded = await watch.time("image", () => encoder.encodeImage(picture));
    io.signal.throwIfAborted();
    const { processed, lastHiddenState, poolerOutput, imageEmbeds } = encoded;
    let tensors: SavedTensors = {
      pixel_values: { shape: processed.shape, data: processed.pixelValues },
      last_hidden_state: lastHiddenState,
      pooler_output: { shape: [1, poolerOutput.length], data: poolerOutput },
      image_embeds: { shape: [1, imageEmbeds.length], data: imageEmbeds },
    };
    let texts: EncodeOutput["texts"];
    if (flags.text) {
      const asked = flags.text;
      const encodedTexts = await watch.time("text", () => encoder.encodeTexts(asked));
      const { inputIds, textEmbeds } = encodedTexts;
      const probs = await watch.time("probabilities", () => encoder.probabilities(encoded, encodedTexts));
      texts = asked.map((text, i) => ({ text, probability: probs[i] ?? 0 }));
      tensors = {
        ...tensors,
        input_ids: inputIds,
        text_embeds: { shape: [asked.length, imageEmbeds.length], data: textEmbeds },
        probs: { shape: [1, asked.length], data: probs },
      };
    }
    if (flags.saveTensors !== undefined) await writeTensors(flags.saveTensors, tensors, io.signal);
    const output: EncodeOutput = {
      command: "encode",
      ...(await commonOutput(device, settled, watch)),
      picture: { file: image, width: picture.width, height: picture.height },
      imageEmbeds: [...imageEmbeds],
      ...(texts && { texts }),
    };
    report(output, format(output), flags, io);
  });
}

/** For people: a line a text, or the embedding's numbers. */
function format({ texts, imageEmbeds }: EncodeOutput): string {
  if (!texts) return `${imageEmbeds.join(" ")}\n`;
  return texts
    .map(({ text, probability }) => `${(100 * probability).toFixed(1).padStart(5)}%  ${text}\n`)
    .join("");
}
