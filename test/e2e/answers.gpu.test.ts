import { join } from "node:path";
import type { AskOutput, EncodeOutput, GenerateOutput } from "mask-llava";
import { describe, expect, test } from "vitest";
import {
  expectation,
  fixture,
  type LoadedTensor,
  loadTensors,
  relativeError,
  sharedDeviceCli,
  temporaryFolder,
  tensor,
} from "./support.ts";

/** f32 against f32 in another order of sums; the bound that the project promises for every layer. */
const bound = 3e-4;
/** Weights rounded to 11 bits: each layer adds about 2^-11 relative, and the fixtures have up to four. */
const halfBound = 1e-2;

const cli = sharedDeviceCli();

/** Runs a model command with `--json` and `--save-tensors`. */
async function runModel<T>(...argv: string[]): Promise<{ output: T; tensors: Record<string, LoadedTensor> }> {
  const file = join(temporaryFolder(), "out.safetensors");
  const { code, stdout, stderr } = await cli(...argv, "--json", "--save-tensors", file);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^\{.*\}\n$/);
  return { output: JSON.parse(stdout) as T, tensors: await loadTensors(file) };
}

function expectClose(
  actual: Readonly<Record<string, LoadedTensor>>,
  expected: Readonly<Record<string, LoadedTensor>>,
  names: Readonly<Record<string, string>>,
  most = bound,
): void {
  const errors = Object.entries(names).map(([ours, theirs]) => [
    ours,
    relativeError(tensor(actual, ours), tensor(expected, theirs)),
  ]);
  for (const [name, error] of errors) expect(error, `${name}`).toBeLessThanOrEqual(most);
}

function expectSame(actual: LoadedTensor, expected: LoadedTensor): void {
  expect({ shape: actual.shape, values: [...actual.values] }).toEqual({
    shape: expected.shape,
    values: [...expected.values],
  });
}

const adapterShape = {
  name: expect.any(String),
  description: expect.any(String),
  vendor: expect.any(String),
  architecture: expect.any(String),
  software: expect.any(Boolean),
};
const memoryShape = { peak: expect.any(Number), budget: expect.any(Number) };

describe.each(["clip-quick-gelu", "clip-gelu"])("encode with %s", (name) => {
  interface Expectation {
    picture: string;
    second_picture: string;
    texts: string[];
  }
  const { picture, second_picture: second, texts } = expectation<Expectation>(name);
  const flags = ["--model", fixture(name), ...texts.flatMap((text) => ["--text", text])];

  test("gives the numbers of transformers, in the file and in the object", async () => {
    const file = fixture(name, picture);
    const { output, tensors } = await runModel<EncodeOutput>("encode", file, ...flags);
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    const names = [
      "pixel_values",
      "last_hidden_state",
      "pooler_output",
      "image_embeds",
      "text_embeds",
      "probs",
    ];
    expect(Object.keys(tensors).toSorted()).toEqual([...names, "input_ids"].toSorted());
    expectClose(tensors, expected, Object.fromEntries(names.map((n) => [n, n])));
    expectSame(tensor(tensors, "input_ids"), tensor(expected, "input_ids"));
    expect(output).toEqual({
      command: "encode",
      model: fixture(name),
      dtype: "f32",
      arithmetic: "f32",
      adapter: adapterShape,
      memory: memoryShape,
      savedTensors: expect.any(String),
      timings: expect.objectContaining({
        load: expect.any(Number),
        image: expect.any(Number),
        total: expect.any(Number),
      }),
      picture: { file, width: expect.any(Number), height: expect.any(Number) },
      imageEmbeds: [...tensor(tensors, "image_embeds").values],
      texts: texts.map((text, i) => ({ text, probability: tensor(tensors, "probs").values[i] })),
    });
  });

  test("another picture", async () => {
    const { tensors } = await runModel("encode", fixture(name, second), ...flags);
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    expectClose(tensors, expected, {
      pixel_values: "second.pixel_values",
      image_embeds: "second.image_embeds",
      probs: "second.probs",
    });
  });

  test("weights in f16", async () => {
    const { output, tensors } = await runModel<EncodeOutput>(
      "encode",
      fixture(name, picture),
      ...flags,
      "--dtype",
      "f16",
    );
    expect(output.dtype).toBe("f16");
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    expectClose(tensors, expected, { image_embeds: "image_embeds", text_embeds: "text_embeds" }, halfBound);
  });
});

const greedy = ["--raw-prompt", "--temperature", "0"];

interface TextExpectation {
  prompt: string;
  short_prompt: string;
  max_new_tokens: number;
  repetition_penalty: number;
  answer: string;
  answer_ignore_eos: string;
}

describe.each(["llama-gqa", "llama-tied-llama3", "llama-f16"])("generate with %s", (name) => {
  const wanted = expectation<TextExpectation>(name);
  const flags = ["--model", fixture(name), ...greedy, "--max-new-tokens", String(wanted.max_new_tokens)];

  test("gives transformers' logits and its greedy text, to the end-of-text token", async () => {
    const { output, tensors } = await runModel<GenerateOutput>("generate", wanted.prompt, ...flags);
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    expect(Object.keys(tensors).toSorted()).toEqual(["input_ids", "logits", "sequences"]);
    expectSame(tensor(tensors, "input_ids"), tensor(expected, "input_ids"));
    expectSame(tensor(tensors, "sequences"), tensor(expected, "sequences"));
    expectClose(tensors, expected, { logits: "logits" });
    const prompt = tensor(tensors, "input_ids").values.length;
    expect(output).toEqual({
      command: "generate",
      model: fixture(name),
      dtype: "f32",
      arithmetic: "f32",
      adapter: adapterShape,
      memory: memoryShape,
      savedTensors: expect.any(String),
      timings: expect.objectContaining({
        load: expect.any(Number),
        prefill: expect.any(Number),
        decode: expect.any(Number),
        total: expect.any(Number),
      }),
      prompt: wanted.prompt,
      answer: wanted.answer,
      finishReason: "eos",
      tokens: { prompt, visual: 0, new: tensor(tensors, "sequences").values.length - prompt },
    });
  });

  test("past the end-of-text token", async () => {
    const { output, tensors } = await runModel<GenerateOutput>(
      "generate",
      wanted.prompt,
      ...flags,
      "--ignore-eos",
    );
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    expectSame(tensor(tensors, "sequences"), tensor(expected, "sequences_ignore_eos"));
    expect(output.answer).toBe(wanted.answer_ignore_eos);
    expect(output.finishReason).toBe("length");
  });

  test("with a repetition penalty", async () => {
    const penalty = ["--ignore-eos", "--repetition-penalty", String(wanted.repetition_penalty)];
    const { tensors } = await runModel<GenerateOutput>("generate", wanted.prompt, ...flags, ...penalty);
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    expectSame(tensor(tensors, "sequences"), tensor(expected, "sequences_repetition_penalty"));
  });
});

interface AskExpectation extends TextExpectation {
  pictures: string[];
  two: { prompt: string; pictures: string[] };
  chat: { messages: { role: string; content: unknown }[]; text?: string }[];
}

describe.each(["llava-default", "llava-full", "llava-layers", "llava-older"])("ask with %s", (name) => {
  const wanted = expectation<AskExpectation>(name);
  const [picture = "", second = ""] = wanted.two.pictures;
  const flags = ["--model", fixture(name), ...greedy, "--max-new-tokens", String(wanted.max_new_tokens)];

  test("gives transformers' tensors and its greedy answer", async () => {
    const file = fixture(name, wanted.pictures[0] ?? "");
    const { output, tensors } = await runModel<AskOutput>("ask", file, wanted.prompt, ...flags);
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    const reals = ["pixel_values", "image_features", "logits"];
    expect(Object.keys(tensors).toSorted()).toEqual([...reals, "input_ids", "sequences"].toSorted());
    expectSame(tensor(tensors, "input_ids"), tensor(expected, "input_ids"));
    expectSame(tensor(tensors, "sequences"), tensor(expected, "sequences"));
    expectClose(tensors, expected, Object.fromEntries(reals.map((n) => [n, n])));
    const prompt = tensor(tensors, "input_ids").values.length;
    expect(output).toEqual({
      command: "ask",
      model: fixture(name),
      dtype: "f32",
      arithmetic: "f32",
      adapter: adapterShape,
      memory: memoryShape,
      savedTensors: expect.any(String),
      timings: expect.objectContaining({
        load: expect.any(Number),
        encode: expect.any(Number),
        prefill: expect.any(Number),
        decode: expect.any(Number),
        total: expect.any(Number),
      }),
      question: wanted.prompt,
      pictures: [{ file, width: expect.any(Number), height: expect.any(Number) }],
      prompt: wanted.prompt,
      answer: wanted.answer,
      finishReason: "eos",
      tokens: {
        prompt,
        visual: tensor(tensors, "image_features").shape[1],
        new: tensor(tensors, "sequences").values.length - prompt,
      },
    });
  });

  test("two pictures in one prompt", async () => {
    const { tensors } = await runModel<AskOutput>(
      "ask",
      fixture(name, picture),
      wanted.two.prompt,
      "--image",
      fixture(name, second),
      ...flags,
      "--ignore-eos",
    );
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    expectSame(tensor(tensors, "input_ids"), tensor(expected, "two.input_ids"));
    expectClose(tensors, expected, {
      pixel_values: "two.pixel_values",
      image_features: "two.image_features",
    });
    expectSame(tensor(tensors, "sequences"), tensor(expected, "two.sequences_ignore_eos"));
  });
});

describe("quantised weights", () => {
  const name = "llava-default";
  const wanted = expectation<AskExpectation>(name);
  const file = fixture(name, wanted.pictures[0] ?? "");
  const flags = ["--model", fixture(name), ...greedy, "--max-new-tokens", "4"];

  // what they cost is bounded in golden/llama-quantized: here, that the flags reach the decoder and nothing else
  test.each([
    ["q8", 0.1],
    ["q4", 1],
  ] as const)(
    "--dtype %s quantises the decoder, and keeps the picture's features in f16",
    async (dtype, bound) => {
      const { output, tensors } = await runModel<AskOutput>(
        "ask",
        file,
        wanted.prompt,
        ...flags,
        "--dtype",
        dtype,
      );
      const expected = await loadTensors(fixture(name, "expect.safetensors"));
      expect(output.dtype).toBe(dtype);
      expectClose(tensors, expected, { image_features: "image_features" }, halfBound);
      const error = relativeError(tensor(tensors, "logits"), tensor(expected, "logits"));
      expect(error).toBeLessThan(bound);
      expect(error).toBeGreaterThan(halfBound);
    },
  );

  test("keys and values are f16 with them, unless --kv-dtype says otherwise", async () => {
    const run = (...more: string[]) =>
      runModel<AskOutput>("ask", file, wanted.prompt, ...flags, "--dtype", "q8", ...more);
    const [unsaid, half, full, bytes] = [
      await run(),
      await run("--kv-dtype", "f16"),
      await run("--kv-dtype", "f32"),
      await run("--kv-dtype", "q8"),
    ];
    const logits = ({ tensors }: { tensors: Readonly<Record<string, LoadedTensor>> }) =>
      tensor(tensors, "logits");
    expect(logits(unsaid).values).toEqual(logits(half).values);
    const difference = relativeError(logits(half), logits(full));
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(halfBound);
    expect(relativeError(logits(bytes), logits(full))).toBeGreaterThan(difference);
  });
});

describe("the answer", () => {
  const model = fixture("llava-default");
  const picture = fixture("llava-default", "wide.png");
  const wanted = expectation<AskExpectation>("llava-default");
  const flags = ["--model", model, "--max-new-tokens", String(wanted.max_new_tokens)];

  test("streams to stdout, the same as in the object", async () => {
    const { code, stdout } = await cli("ask", picture, wanted.prompt, ...flags, ...greedy);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${wanted.answer}\n` });
  });

  test("a question is put into the chat template, as transformers renders it", async () => {
    const chat = wanted.chat.find(({ messages }) => messages.length === 1);
    const question = "What is in the picture?";
    expect(chat?.messages[0]?.content).toEqual([{ type: "image" }, { type: "text", text: question }]);
    const { stdout } = await cli("ask", picture, question, ...flags, "--json");
    expect((JSON.parse(stdout) as AskOutput).prompt).toBe(chat?.text);
  });

  test("ends before a stop string, in the stream too", async () => {
    const stop = "ture";
    expect(wanted.answer).toContain(stop);
    const expected = wanted.answer.slice(0, wanted.answer.indexOf(stop));
    const argv = ["ask", picture, wanted.prompt, ...flags, ...greedy, "--stop", stop, "--stop", "never said"];
    expect((await cli(...argv)).stdout).toBe(`${expected}\n`);
    const { answer, finishReason } = JSON.parse((await cli(...argv, "--json")).stdout) as AskOutput;
    expect({ answer, finishReason }).toEqual({ answer: expected, finishReason: "stop" });
  });

  test("of a seed is the same again, and of another seed another", async () => {
    const answers: string[] = [];
    for (const seed of ["7", "7", "8"]) {
      const sampling = ["--temperature", "2", "--top-k", "0", "--top-p", "1", "--seed", seed, "--ignore-eos"];
      const { stdout } = await cli("ask", picture, wanted.prompt, ...flags, "--raw-prompt", ...sampling);
      answers.push(stdout);
    }
    expect(answers[1]).toBe(answers[0]);
    expect(answers[2]).not.toBe(answers[0]);
  });

  test("a LLaVA answers text alone", async () => {
    const { code, stdout, stderr } = await cli(
      "generate",
      "USER: Hello ASSISTANT:",
      ...flags,
      ...greedy,
      "--json",
    );
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    const { tokens, finishReason } = JSON.parse(stdout) as GenerateOutput;
    expect(tokens.visual).toBe(0);
    expect(["eos", "length"]).toContain(finishReason);
  });

  test("--profile tells the GPU time of ops, or that there are no timestamps", async () => {
    const plain = await cli("ask", picture, wanted.prompt, ...flags, ...greedy, "--json");
    const profiled = await cli("ask", picture, wanted.prompt, ...flags, ...greedy, "--json", "--profile");
    const { profile, answer } = JSON.parse(profiled.stdout) as AskOutput;
    expect(answer).toBe((JSON.parse(plain.stdout) as AskOutput).answer);
    if (profile === null) {
      expect(profiled.stderr).toContain("no timestamps");
      return;
    }
    expect(new Set(profile?.map(({ program }) => program.split(" ")[0]))).toEqual(
      new Set(["llava", "prefill", "decode"]),
    );
    expect(profiled.stderr).toMatch(/GPU ms .*runs .*program .*op/);
  });
});
