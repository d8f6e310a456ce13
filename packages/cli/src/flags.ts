import { type KvDType, kvDTypes, type WeightDType, weightDTypes } from "@mask-llava/models";
import { type NetworkArithmetic, networkArithmetics } from "@mask-llava/runtime";
import { type Command, InvalidArgumentError, Option } from "commander";

const units: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  kib: 2 ** 10,
  kb: 1e3,
  m: 2 ** 20,
  mib: 2 ** 20,
  mb: 1e6,
  g: 2 ** 30,
  gib: 2 ** 30,
  gb: 1e9,
  t: 2 ** 40,
  tib: 2 ** 40,
  tb: 1e12,
};

/** Bytes from a number with an optional unit: `8GiB` and `8G` are 2^33, `8GB` is 8e9. */
export function parseByteCount(text: string): number {
  const [, number = "", unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const scale = units[unit.toLowerCase()];
  const bytes = number === "" || scale === undefined ? Number.NaN : Math.floor(Number(number) * scale);
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new InvalidArgumentError("Expected a number of bytes above 0 such as 8GiB, 512MiB or 1000000000.");
  }
  return bytes;
}

function parseAdapterChoice(text: string): string {
  if (text.trim() === "")
    throw new InvalidArgumentError("Expected auto, gpu, software or a part of an adapter's name.");
  return text.trim();
}

/** `--adapter`: which adapter the work runs on. */
export function adapterFlag(): Option {
  return new Option(
    "--adapter <which>",
    "auto (a hardware GPU, else a software adapter), gpu, software, or a part of an adapter's name",
  )
    .default("auto")
    .argParser(parseAdapterChoice);
}

/** `--memory`: the budget of GPU memory, in bytes. */
export function memoryFlag(): Option {
  return new Option(
    "--memory <size>",
    "GPU memory that may be used, e.g. 8GiB (default: by the adapter)",
  ).argParser(parseByteCount);
}

/** `--json`: one machine-readable object on stdout. */
export function jsonFlag(): Option {
  return new Option("--json", "print one JSON object on stdout");
}

/** `--verbose`: read by the launcher, which then leaves native messages on stderr. */
export function verboseFlag(): Option {
  return new Option("--verbose", "tell timings and memory, and show what the GPU's driver prints");
}

/** Flags that every command which runs a model takes. */
export interface ModelFlags {
  readonly model?: string;
  readonly adapter: string;
  readonly memory?: number;
  /** Undefined: chosen by the memory budget. */
  readonly dtype?: WeightDType;
  /** Undefined where a command has no such flag: f32. */
  readonly arithmetic?: NetworkArithmetic;
  readonly json?: boolean;
  readonly saveTensors?: string;
  readonly profile?: boolean;
  readonly verbose?: boolean;
}

/** Flags of the commands that generate text. */
export interface GenerationFlags {
  readonly maxNewTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly rawPrompt?: boolean;
  readonly ignoreEos?: boolean;
  /** Undefined: by `dtype`, or chosen by the memory budget with it. */
  readonly kvDtype?: KvDType;
}

interface NumberRule {
  readonly integer: boolean;
  readonly least: number;
  /** Whether `least` itself is too small. */
  readonly above?: boolean;
  readonly most?: number;
}

/** A parser of numbers within bounds. */
export function numberParser(rule: NumberRule): (text: string) => number {
  const { integer, least, above = false, most = Number.POSITIVE_INFINITY } = rule;
  const kind = integer ? "a whole number" : "a number";
  const low = above ? `above ${least}` : `of at least ${least}`;
  const bounds = Number.isFinite(most) ? `${low} and at most ${most}` : low;
  return (text) => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : Number.NaN;
    const fits = value >= least && !(above && value === least) && value <= most && Number.isFinite(value);
    if (!fits || (integer && !Number.isSafeInteger(value))) {
      throw new InvalidArgumentError(`Expected ${kind} ${bounds}.`);
    }
    return value;
  };
}

/** A parser of text that must not be empty. */
export function filledText(what: string): (text: string) => string {
  return (text) => {
    if (text === "") throw new InvalidArgumentError(`Expected ${what}, found an empty text.`);
    return text;
  };
}

/** A flag that may be given several times. */
export function listFlag(
  flags: string,
  description: string,
  parse: (text: string) => string = (text) => text,
): Option {
  return new Option(flags, `${description} (may be repeated)`).argParser(
    (text, before: readonly string[] | undefined) => [...(before ?? []), parse(text)],
  );
}

/** `--model`: the checkpoint folder. */
export function modelFlag(description: string): Option {
  return new Option("--model <dir>", description).argParser(filledText("a checkpoint folder"));
}

/** `--mmproj`: the second file of a LLaVA model in GGUF. `without`: what is taken where the flag is not given. */
export function mmprojFlag(without?: string): Option {
  const other = without === undefined ? "" : ` (default: ${without})`;
  const flag = new Option("--mmproj <file>", `vision tower and projector of a GGUF model${other}`);
  return flag.argParser(filledText("a file name"));
}

/** `--out`: the folder that the command makes. */
export function outFolderFlag(): Option {
  return new Option("--out <dir>", "folder to make; it must not exist, or be empty")
    .argParser(filledText("a folder"))
    .makeOptionMandatory();
}

/** Adds the flags of every command that runs a model, but for `--model`. `dtypes`: what `--dtype` may say. */
export function addModelFlags(command: Command, dtypes: readonly WeightDType[] = weightDTypes): Command {
  return addRunFlags(command, { dtypes }).addOption(
    new Option(
      "--save-tensors <file>",
      "write inputs and outputs of the model, under Hugging Face's names, as safetensors",
    ).argParser(filledText("a file name")),
  );
}

/** Adds the flags that say where and how models run. `dtype`: the default, where the memory shall not choose it. */
export function addRunFlags(
  command: Command,
  { dtypes = weightDTypes, dtype }: { dtypes?: readonly WeightDType[]; dtype?: WeightDType } = {},
): Command {
  const quantized = dtypes.includes("q8") ? "; q8 and q4 quantise the language model's" : "";
  const chosen = dtype ? "" : " (default: the first that fits the memory)";
  const type = new Option("--dtype <type>", `type of the weights on the GPU${quantized}${chosen}`);
  type.choices(dtypes);
  return command
    .addOption(dtype ? type.default(dtype) : type)
    .addOption(arithmeticFlag())
    .addOption(adapterFlag())
    .addOption(memoryFlag())
    .addOption(jsonFlag())
    .addOption(new Option("--profile", "print the GPU time of every op on stderr"))
    .addOption(verboseFlag());
}

/** `--arithmetic`: what products are made of. */
function arithmeticFlag(): Option {
  return new Option(
    "--arithmetic <kind>",
    "what the products of prompts and pictures are made of: f32, or reduced, which rounds their inputs to what the weights are (f16; 8 bits beside q8 and q4), for GPUs that are faster at it",
  )
    .choices(networkArithmetics)
    .default("f32");
}

/** `--kv-dtype`: how keys and values are stored. */
export function kvDtypeFlag(byDefault: string): Option {
  return new Option("--kv-dtype <type>", `type of the keys and values (default: ${byDefault})`).choices(
    kvDTypes,
  );
}

/** Adds the flags of the commands that generate text. */
export function addGenerationFlags(command: Command): Command {
  const number = (flags: string, description: string, rule: NumberRule) =>
    command.addOption(new Option(flags, description).argParser(numberParser(rule)));
  number("--max-new-tokens <n>", "stop after so many tokens", { integer: true, least: 1, most: 2 ** 31 - 1 });
  number("--temperature <t>", "sample at this temperature; 0 takes the likeliest token", {
    integer: false,
    least: 0,
    most: 100,
  });
  number("--top-k <k>", "sample from the k likeliest tokens; 0: from all", {
    integer: true,
    least: 0,
    most: 2 ** 31 - 1,
  });
  number("--top-p <p>", "sample from the likeliest tokens that together have this probability", {
    integer: false,
    least: 0,
    above: true,
    most: 1,
  });
  number("--repetition-penalty <r>", "divide the scores of tokens that occurred by this; 1: do not", {
    integer: false,
    least: 0,
    above: true,
    most: 1000,
  });
  number("--seed <n>", "seed of the sampling; the same seed gives the same text", {
    integer: true,
    least: 0,
    most: 2 ** 32 - 1,
  });
  return command
    .addOption(listFlag("--stop <text>", "stop before this text", filledText("a text")))
    .addOption(new Option("--raw-prompt", "take the prompt verbatim, without the model's chat template"))
    .addOption(new Option("--ignore-eos", "do not stop at the model's end-of-text token"))
    .addOption(kvDtypeFlag("f16 with --dtype q8 and q4, or q8 where the memory asks for it, else f32"));
}
