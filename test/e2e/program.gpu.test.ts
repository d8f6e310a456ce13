/** The built program, as users run it. */
import { join } from "node:path";
import { LanguageModel } from "@mask-llava/models";
import { FileFolder } from "@mask-llava/models/node";
import { DeviceLostError } from "@mask-llava/runtime";
import type { AskOutput } from "mask-llava";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { openTestDevice } from "../support/device.ts";
import { expectation, filesBelow, fixture, onAdapter, temporaryFolder } from "./support.ts";

const model = fixture("llava-default");
const { prompt, answer } = expectation<{ prompt: string; answer: string }>("llava-default");
const ask = ["ask", fixture("llava-default", "wide.png"), prompt, "--raw-prompt", "--temperature", "0"];

test("answers on stdout, and is quiet otherwise", async () => {
  const { code, stdout, stderr } = await runCli([...ask, "--model", model, ...onAdapter]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${answer}\n` });
  // Nothing of what the driver prints, and no progress bar.
  expect(stderr).toMatch(/^(mask-llava: running on a software adapter, which is slow: .*\n)?$/);
});

test("--json is one object, also with --verbose", async () => {
  const { code, stdout, stderr } = await runCli([
    ...ask,
    "--model",
    model,
    "--json",
    "--verbose",
    ...onAdapter,
  ]);
  expect({ code, answer: (JSON.parse(stdout) as AskOutput).answer }).toEqual({ code: 0, answer });
  expect(stderr).toMatch(/^mask-llava: .*load \d+ ms.*GPU memory$/m);
});

test("a mistake ends with code 2, a failure with code 1, neither with a stack trace", async () => {
  const mistake = await runCli([...ask, "--model", model, "--top-p", "2"]);
  expect({ code: mistake.code, stdout: mistake.stdout }).toEqual({ code: 2, stdout: "" });
  expect(mistake.stderr).toContain("--top-p");
  const failure = await runCli([...ask, "--model", fixture("none")]);
  expect({ code: failure.code, stdout: failure.stdout }).toEqual({ code: 1, stdout: "" });
  expect(failure.stderr).toBe(`mask-llava: ${fixture("none")}: there is no such folder\n`);
});

test("an interruption in the middle of an answer leaves nothing behind", async () => {
  const folder = temporaryFolder();
  let sent = false;
  const { code, stdout, stderr } = await runCli(
    [
      ...["ask", "--ignore-eos", "--max-new-tokens", "400", ...onAdapter],
      ...["--save-tensors", join(folder, "out.safetensors")],
    ],
    {
      onStdout: (_, child) => {
        if (!sent) child.kill("SIGINT");
        sent = true;
      },
    },
  );
  expect({ code, stderr }).toEqual({
    code: 130,
    stderr: expect.stringMatching(/mask-llava: interrupted by SIGINT\n$/),
  });
  expect(stdout.trim().split(" ").length).toBeLessThan(400);
  expect(filesBelow(folder)).toEqual([]);
});

test("a device that is lost in the middle of an answer is a typed error, then and afterwards", async () => {
  const device = await openTestDevice();
  using language = await LanguageModel.load(device, await FileFolder.open(fixture("llama-gqa")));
  const ids = language.tokenizer.encode("A small dog");
  const loseOnText = () => device.gpuDevice.destroy();
  await expect(
    language.generate(ids, { ignoreEos: true, maxNewTokens: 100, temperature: 0, onText: loseOnText }),
  ).rejects.toThrow(DeviceLostError);
  await expect(language.generate(ids)).rejects.toThrow(DeviceLostError);
  device.dispose();
});
