import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CheckpointReport } from "@mask-llava/models";
import type { AskOutput, GenerateOutput } from "mask-llava";
import { describe, expect, test } from "vitest";
import { describeFailures, type Place, type Row, type Says } from "./failures.ts";
import { expectation, fixture, onAdapter, sharedDeviceCli, temporaryFolder } from "./support.ts";

const cli = sharedDeviceCli();

interface Expected {
  readonly prompt: string;
  readonly max_new_tokens: number;
  readonly files: Readonly<Record<string, { readonly answer: string }>>;
}

const greedy = ["--raw-prompt", "--temperature", "0", "--repetition-penalty", "1", "--json"];

async function generate(model: string, prompt: string, ...flags: string[]) {
  const { code, stdout, stderr } = await cli("generate", prompt, "--model", model, ...greedy, ...flags);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return { output: JSON.parse(stdout) as GenerateOutput, stderr };
}

describe("generate with a GGUF file", () => {
  test.each([
    ["gguf-blocks", "q8_0", ""],
    ["gguf-blocks", "q5", "tensors dequantised to f16: 9 of Q5_0, 4 of Q5_1"],
    ["gguf-super-blocks", "q4_k_m", "tensors dequantised to f16: 6 of Q4_K, 3 of Q6_K"],
  ])("%s/%s: the answer, and what became of the blocks", async (folder, file, said) => {
    const { prompt, max_new_tokens, files } = expectation<Expected>(folder);
    const { output, stderr } = await generate(
      fixture(folder, `${file}.gguf`),
      prompt,
      "--max-new-tokens",
      String(max_new_tokens),
    );
    expect(output).toMatchObject({ answer: files[file]?.answer, dtype: "stored" });
    expect(stderr.includes(said)).toBe(true);
    expect(stderr.includes("tensors ")).toBe(said !== "");
  });

  test("--dtype q8 says what is quantised anew", async () => {
    const { prompt } = expectation<Expected>("gguf-super-blocks");
    const model = fixture("gguf-super-blocks", "q4_k_m.gguf");
    const { output, stderr } = await generate(model, prompt, "--dtype", "q8", "--max-new-tokens", "1");
    expect(output.dtype).toBe("q8");
    expect(stderr).toContain("tensors quantised anew to q8_0: 6 of Q4_K, 3 of Q6_K");
  });

  test("a folder with one GGUF model in it, and an mmproj file that is not asked for", async () => {
    const folder = temporaryFolder();
    copyFileSync(fixture("gguf-blocks", "q4_0.gguf"), join(folder, "model.gguf"));
    copyFileSync(fixture("gguf-converted", "mmproj-llava-older.gguf"), join(folder, "mmproj.gguf"));
    const { prompt, max_new_tokens, files } = expectation<Expected>("gguf-blocks");
    const { output } = await generate(folder, prompt, "--max-new-tokens", String(max_new_tokens));
    expect(output.answer).toBe(files.q4_0?.answer);
  });
});

describe("ask with a GGUF file", () => {
  const { prompt, answer, max_new_tokens } = expectation<{
    readonly prompt: string;
    readonly answer: string;
    readonly max_new_tokens: number;
  }>("llava-older");
  const ask = (...flags: string[]) =>
    cli(
      "ask",
      fixture("llava-older", "wide.png"),
      prompt,
      ...greedy,
      "--dtype",
      "f32",
      "--max-new-tokens",
      String(max_new_tokens),
      ...flags,
    );
  const beside = (...names: string[]) => {
    const folder = temporaryFolder();
    for (const name of names) {
      const from = name.includes("mmproj") ? "mmproj-llava-older.gguf" : "llava-older.gguf";
      copyFileSync(fixture("gguf-converted", from), join(folder, name));
    }
    return folder;
  };

  test("with the mmproj file beside it, with another, with --mmproj", async () => {
    const one = beside("llava.gguf", "llava.mmproj-f16.gguf");
    const two = beside("llava.gguf", "mmproj-a.gguf", "mmproj-b.gguf");
    for (const flags of [
      ["--model", join(one, "llava.gguf")],
      ["--model", one],
      ["--model", join(two, "llava.gguf"), "--mmproj", join(two, "mmproj-b.gguf")],
    ]) {
      const { code, stdout, stderr } = await ask(...flags);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect((JSON.parse(stdout) as AskOutput).answer).toBe(answer);
    }
  });

  test("says which mmproj file is missing, or that there are several", async () => {
    const none = await ask("--model", join(beside("llava.gguf"), "llava.gguf"));
    expect(none.code).toBe(1);
    expect(none.stderr).toMatch(/no mmproj file lies beside it.*--mmproj FILE/);
    const several = await ask(
      "--model",
      join(beside("llava.gguf", "mmproj-a.gguf", "mmproj-b.gguf"), "llava.gguf"),
    );
    expect(several.code).toBe(1);
    expect(several.stderr).toMatch(/several mmproj files.*mmproj-a.gguf, mmproj-b.gguf/);
  });

  test("--mmproj without a GGUF model is not understood", async () => {
    const mmproj = fixture("gguf-converted", "mmproj-llava-older.gguf");
    for (const flags of [["--model", fixture("llava-older")], []]) {
      const { code, stderr } = await ask(...flags, "--mmproj", mmproj);
      expect(code).toBe(2);
      expect(stderr).toMatch(/--mmproj .* belongs to a GGUF model/);
    }
  });
});

describe("inspect", () => {
  test.each([
    ["gguf-super-blocks/q4_k_m.gguf", [], "llama", ["F32", "Q4_K", "Q6_K"]],
    ["gguf-converted/llava-older.gguf", ["gguf-converted/mmproj-llava-older.gguf"], "llava", ["F16", "F32"]],
  ] as const)("%s", async (file, mmproj, kind, dtypes) => {
    const flags = mmproj.flatMap((m) => ["--mmproj", fixture(m)]);
    const { code, stdout, stderr } = await cli("inspect", fixture(file), ...flags, "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const report = JSON.parse(stdout) as CheckpointReport;
    expect(report).toMatchObject({ kind, load: { problems: [], ignored: [] } });
    expect(Object.keys(report.dtypes).sort()).toEqual(dtypes);
    expect(report.load?.tensors).toBe(report.tensors.length);
    expect(report.load?.memory.stored === undefined).toBe(kind === "llava");
    const words = await cli("inspect", fixture(file), ...flags);
    expect(words.stdout).toContain(kind === "llama" ? "as they are stored" : "with --dtype f16");
  });
});

describe("convert", () => {
  test("a GGUF file to a folder that answers the same", async () => {
    const out = join(temporaryFolder(), "q8");
    const model = fixture("gguf-blocks", "q8_0.gguf");
    const { code, stdout, stderr } = await cli(
      "convert",
      "--model",
      model,
      "--dtype",
      "q8",
      "--out",
      out,
      "--json",
    );
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      command: "convert",
      model,
      out,
      dtype: "q8",
      tensors: { q8_0: 16, f32: 5 },
      files: [
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
      ],
    });
    const { prompt, max_new_tokens, files } = expectation<Expected>("gguf-blocks");
    const { output } = await generate(out, prompt, "--max-new-tokens", String(max_new_tokens));
    expect(output).toMatchObject({ answer: files.q8_0?.answer, dtype: "stored" });
    const { stdout: told } = await cli("inspect", out);
    expect(told).toContain("q8_0");
    expect(told).toContain("as they are stored");
  });

  test("what makes no sense is refused before any work", async () => {
    const folder = temporaryFolder();
    const model = fixture("llama-f16");
    mkdirSync(join(folder, "full"));
    writeFileSync(join(folder, "full", "file"), "");
    const line = (dtype: string, out: string, ...flags: string[]) =>
      cli("convert", "--model", model, "--dtype", dtype, "--out", join(folder, out), ...flags);
    const cases = [
      [await line("q8", "full"), 1, /--out .*full: holds 1 entry/],
      [await line("q8", "no/where"), 1, /there is no folder/],
      [await line("f32", "new"), 2, /--dtype .*f16, q8, q4/],
      [await line("q8", "new", "--mmproj", "x.gguf"), 2, /--mmproj x.gguf belongs to a GGUF model/],
      [await cli("convert", "--dtype", "q8", "--out", join(folder, "new")), 2, /--model/],
      [await cli("convert", "--model", model, "--out", join(folder, "new")), 2, /--dtype/],
      [
        await cli("convert", "--model", fixture("clip-gelu"), "--dtype", "q8", "--out", join(folder, "new")),
        1,
        /cannot be converted to q8 \(found "clip"/,
      ],
    ] as const;
    for (const [outcome, code, says] of cases) {
      expect(outcome.stderr).toMatch(says);
      expect(outcome.code).toBe(code);
    }
  });
});

/** A row for a file with some bytes changed. */
function broken(what: string, file: string, change: (bytes: Buffer) => Buffer, says: Says): Row {
  const argv = ({ folder, out }: Place) => {
    const model = join(folder, "broken.gguf");
    writeFileSync(model, change(readFileSync(fixture(file))));
    return ["generate", "A", "--model", model, "--raw-prompt", "--max-new-tokens", "2", ...out, ...onAdapter];
  };
  return [what, argv, ["broken.gguf", ...says]];
}

/** `text` for `other`, of the same length, where it stands first. */
const swap = (text: string, other: string) => (bytes: Buffer) => {
  const at = bytes.indexOf(text);
  if (at < 0 || text.length !== other.length) throw new Error(`${text} for ${other}`);
  bytes.write(other, at, "latin1");
  return bytes;
};

/** The number of a type, in the info of a tensor of two axes, is `type`. */
const typeOf = (tensor: string, type: number) => (bytes: Buffer) => {
  bytes.writeUInt32LE(type, bytes.indexOf(tensor) + tensor.length + 4 + 16);
  return bytes;
};

const q8 = "gguf-blocks/q8_0.gguf";
const gqa = "gguf-converted/llama-gqa.gguf";

describeFailures(
  "a GGUF file",
  [
    broken("empty", q8, () => Buffer.alloc(0), ["ends early", "found 0 bytes"]),
    broken("of another kind", q8, swap("GGUF", "GGML"), ["is not a GGUF file", "47 47 4d 4c"]),
    broken(
      "of version 1",
      q8,
      (b) => {
        b.writeUInt32LE(1, 4);
        return b;
      },
      ["version 1", "2 or 3"],
    ),
    broken("cut in its metadata", q8, (b) => b.subarray(0, 2000), ["ends early", "found 2000 bytes"]),
    broken("cut in its weights", q8, (b) => b.subarray(0, b.length - 500), ["truncated", "tensor"]),
    broken("with bytes behind", q8, (b) => Buffer.concat([b, Buffer.alloc(100)]), ["bytes follow"]),
    broken("with a type that is not read", q8, typeOf("blk.0.attn_q.weight", 16), [
      "blk.0.attn_q.weight",
      "IQ2_XXS",
    ]),
    broken("with a type of another size", q8, typeOf("blk.0.attn_q.weight", 2), ["hole"]),
    broken("of another architecture", q8, swap("\x05\0\0\0\0\0\0\0llama", "\x05\0\0\0\0\0\0\0mamba"), [
      "general.architecture",
      '"mamba"',
    ]),
    broken("without its depth", q8, swap("llama.block_count", "llama.block_thing"), [
      "llama.block_count",
      "is missing",
    ]),
    broken("without a vocabulary", q8, swap("tokenizer.ggml.tokens", "tokenizer.ggml.toKens"), [
      "tokenizer.ggml.tokens",
      "is missing",
    ]),
    broken("without a tensor", q8, swap("blk.1.ffn_up.weight", "blk.7.ffn_up.weight"), [
      "model.layers.1.mlp.up_proj.weight",
      "is missing",
    ]),
    broken("with another byte-level cut", gqa, swap("llama-bpe", "llama-xyz"), [
      "tokenizer.ggml.pre",
      "llama-xyz",
    ]),
    broken(
      "with a scale that is no number",
      q8,
      (b) => {
        // the last tensor's blocks end 4 bytes before the file, which is padded
        b.writeUInt16LE(0x7e00, b.length - 4 - 34 * 8);
        return b;
      },
      ["holds a value that is not finite", "tensor", "found Q8_0"],
    ),
    [
      "that is not there",
      ({ folder, out }) => ["generate", "A", "--model", join(folder, "no.gguf"), ...out, ...onAdapter],
      ["no.gguf", "there is no such file"],
    ],
    [
      "among others in a folder",
      ({ out }) => ["generate", "A", "--model", fixture("gguf-blocks"), ...out, ...onAdapter],
      ["several GGUF models", "q4_0.gguf", "q8_0.gguf"],
    ],
    [
      "that is a vision tower",
      ({ out }) => {
        const model = fixture("gguf-converted", "mmproj-llava-older.gguf");
        return ["generate", "A", "--model", model, ...out, ...onAdapter];
      },
      ["general.architecture", "--mmproj"],
    ],
    [
      "with an mmproj file of another width",
      ({ out }) => {
        const [model, mmproj] = ["llama-gqa.gguf", "mmproj-llava-older.gguf"].map((f) =>
          fixture("gguf-converted", f),
        );
        const flags = ["--model", model as string, "--mmproj", mmproj as string];
        return ["ask", fixture("llava-older", "wide.png"), "What?", ...flags, ...out, ...onAdapter];
      },
      ["mm.2.weight", "another width", "found 34", "expected 36"],
    ],
  ],
  cli,
);
