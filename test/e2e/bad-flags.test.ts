import { describe, expect, test } from "vitest";
import { cli, fixture } from "./support.ts";

const llava = ["--model", fixture("llava-default")];
const llama = ["--model", fixture("llama-gqa")];
const clip = ["--model", fixture("clip-quick-gelu")];
const picture = fixture("llava-default", "wide.png");
const ask = ["ask", picture, "What is it?", ...llava];
const generate = ["generate", "A", ...llama];

/** What is said, the command line, and what the message must name. None of them gets as far as a device. */
const rows: readonly (readonly [
  name: string,
  argv: readonly string[],
  says: readonly (string | RegExp)[],
])[] = [
  ["no command", [], ["Usage: mask-llava"]],
  ["an unknown command", ["frobnicate"], ["unknown command 'frobnicate'"]],
  ["an unknown flag of the program", ["--frobnicate"], ["unknown option '--frobnicate'"]],
  [
    "an unknown flag of a command",
    [...ask, "--frobnicate"],
    ["unknown option '--frobnicate'", "mask-llava ask --help"],
  ],
  [
    "a flag of another command",
    ["encode", picture, ...clip, "--temperature", "1"],
    ["unknown option '--temperature'"],
  ],
  ["generate without a prompt", ["generate", ...llama], ["missing required argument 'prompt'"]],
  ["encode without a picture", ["encode", ...clip], ["missing required argument 'image'"]],
  ["inspect without a folder", ["inspect"], ["missing required argument 'model'"]],
  ["an argument too many", ["inspect", "a", "b"], ["too many arguments", "Expected 1 argument but got 2"]],
  ["generate without a model", ["generate", "A"], ["--model DIR is missing"]],
  ["--model without a folder", ["generate", "A", "--model"], ["'--model <dir>' argument missing"]],
  [
    "--model with an empty name",
    ["generate", "A", "--model", ""],
    ["--model", "Expected a checkpoint folder"],
  ],
  [
    "--temperature in words",
    [...ask, "--temperature", "hot"],
    ["--temperature", "'hot'", "Expected a number of at least 0"],
  ],
  [
    "--temperature below 0",
    [...ask, "--temperature", "-1"],
    ["--temperature", "'-1'", "at least 0 and at most 100"],
  ],
  [
    "--temperature without bounds",
    [...ask, "--temperature", "1e999"],
    ["--temperature", "'1e999'", "at most 100"],
  ],
  ["--temperature in hexadecimal", [...ask, "--temperature", "0x1"], ["--temperature", "'0x1'"]],
  ["--top-k in parts", [...ask, "--top-k", "2.5"], ["--top-k", "'2.5'", "a whole number of at least 0"]],
  ["--top-k below 0", [...ask, "--top-k", "-1"], ["--top-k", "'-1'"]],
  ["--top-p of nothing", [...ask, "--top-p", "0"], ["--top-p", "'0'", "above 0 and at most 1"]],
  ["--top-p above 1", [...ask, "--top-p", "1.5"], ["--top-p", "'1.5'", "at most 1"]],
  [
    "--repetition-penalty of 0",
    [...ask, "--repetition-penalty", "0"],
    ["--repetition-penalty", "'0'", "above 0"],
  ],
  ["--seed below 0", [...ask, "--seed", "-1"], ["--seed", "'-1'", "at least 0"]],
  [
    "--seed of more than 32 bits",
    [...ask, "--seed", "4294967296"],
    ["--seed", "'4294967296'", "at most 4294967295"],
  ],
  [
    "--max-new-tokens of 0",
    [...generate, "--max-new-tokens", "0"],
    ["--max-new-tokens", "'0'", "at least 1"],
  ],
  ["--max-new-tokens in words", [...generate, "--max-new-tokens", "ten"], ["--max-new-tokens", "'ten'"]],
  ["--stop with an empty text", [...generate, "--stop", ""], ["--stop", "found an empty text"]],
  ["--dtype that is not one", [...generate, "--dtype", "bf16"], ["--dtype", "'bf16'", "f32, f16, q8, q4"]],
  ["--kv-dtype that is not one", [...ask, "--kv-dtype", "q4"], ["--kv-dtype", "'q4'", "f32, f16, q8"]],
  ["--memory of nothing", [...generate, "--memory", "0"], ["--memory", "'0'", "above 0"]],
  ["--memory in words", [...generate, "--memory", "lots"], ["--memory", "'lots'", "8GiB"]],
  ["--adapter with an empty name", [...generate, "--adapter", ""], ["--adapter", "auto, gpu, software"]],
  [
    "--save-tensors without a file",
    [...generate, "--save-tensors"],
    ["--save-tensors <file>", "argument missing"],
  ],
  [
    "--save-tensors with an empty name",
    [...generate, "--save-tensors", ""],
    ["--save-tensors", "Expected a file name"],
  ],
  [
    "--save-tensors over the model",
    [...generate, "--save-tensors", fixture("llama-gqa", "model.safetensors")],
    ["--save-tensors", "model.safetensors", "would replace a file of the model"],
  ],
  [
    "--temperature 0 with --top-k",
    [...ask, "--temperature", "0", "--top-k", "5"],
    ["--temperature 0", "--top-k"],
  ],
  [
    "--temperature 0 with --top-p",
    [...generate, "--temperature", "0", "--top-p", "0.5"],
    ["--temperature 0", "--top-p"],
  ],
  ["an empty question", ["ask", picture, "", ...llava], ["the question is empty"]],
  ["a question of white space", ["ask", picture, " \n\t", ...llava], ["the question is empty"]],
  ["an empty prompt", ["generate", "", ...llama], ["the prompt is empty"]],
  ["an empty --image", [...ask, "--image", ""], ["--image", "Expected a picture file"]],
  [
    "--raw-prompt without a prompt",
    ["ask", picture, ...llava, "--raw-prompt"],
    ["--raw-prompt needs a prompt"],
  ],
  [
    "--raw-prompt without a mark",
    [...ask, "--raw-prompt"],
    ["found 0 <image>", "expected 1: one for each picture"],
  ],
  [
    "--raw-prompt with a mark too many",
    ["ask", picture, "<image><image>", ...llava, "--raw-prompt"],
    ["found 2 <image>", "expected 1: one for each picture"],
  ],
  ["a mark without --raw-prompt", ["ask", picture, "<image> What?", ...llava], ["<image>", "--raw-prompt"]],
];

describe("command lines that make no sense end with code 2 and a message that names what is wrong", () => {
  test.each(rows)("%s", async (_, argv, says) => {
    const { code, stdout, stderr } = await cli(...argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    for (const part of says) expect(stderr).toMatch(part);
    expect(stderr).not.toMatch(/^\s+at .*:\d+/m);
  });
});

const commands = [
  ...["ask", "generate", "encode", "detect", "segment", "invert", "compose"],
  ...["inspect", "doctor"],
];

describe("help", () => {
  test("of the program lists the commands", async () => {
    const { code, stdout, stderr } = await cli("--help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const command of commands) expect(stdout).toContain(`  ${command} `);
  });

  test.each(commands)("of %s has examples", async (command) => {
    const { code, stdout, stderr } = await cli(command, "--help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^Examples:\n {2}mask-llava /m);
  });

  test("--version is the package's", async () => {
    expect(await cli("--version")).toEqual({ code: 0, stdout: "0.1.0\n", stderr: "" });
  });
});
