import { ConfigError, type Folder, readJson } from "../checkpoint/index.ts";
import { ImageProcessor } from "./processor.ts";
import type { ProcessorFamily } from "./processor-config.ts";

/**
 * The image processor of a checkpoint folder: `preprocessor_config.json`, or `processor_config.json` with the image
 * processor nested in it, as transformers 5 writes it.
 * @throws ConfigError where the folder has neither
 */
export async function loadImageProcessor(folder: Folder, family: ProcessorFamily): Promise<ImageProcessor> {
  for (const file of ["preprocessor_config.json", "processor_config.json"]) {
    const json = await readJson(folder, file);
    if (json !== undefined) return ImageProcessor.fromConfig(json, file, { family });
  }
  throw new ConfigError(
    "preprocessor_config.json",
    "",
    `is missing from ${folder.name}, and so is processor_config.json`,
  );
}
