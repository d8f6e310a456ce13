import { InvalidArgumentError, Option } from "commander";

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
  return new Option("--verbose", "show what the GPU's driver prints");
}
