import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { listAdapters } from "@mask-llava/runtime/node";
import { expect, test } from "vitest";
import { describeFailures, expectFailure, picture, type Row, type Says } from "./failures.ts";
import { cli, fixture, onAdapter, temporaryFolder } from "./support.ts";

const inspectRow = (what: string, make: (folder: string) => string, says: Says): Row => [
  what,
  ({ folder }) => ["inspect", make(folder)],
  says,
];

const placeRows: readonly Row[] = [
  inspectRow("no such model folder", (folder) => join(folder, "none"), ["none", "no such folder"]),
  inspectRow("a file for a model folder", () => picture, ["wide.png", "not a folder"]),
  inspectRow(
    "a model folder that cannot be read",
    (folder) => {
      symlinkSync(join(folder, "loop"), join(folder, "loop"));
      return join(folder, "loop");
    },
    ["loop", "cannot be read"],
  ),
  inspectRow(
    "a config.json that cannot be read",
    (folder) => {
      symlinkSync("config.json", join(folder, "config.json"));
      return folder;
    },
    ["config.json", "cannot be read"],
  ),
  inspectRow(
    "a folder for a config.json",
    (folder) => {
      mkdirSync(join(folder, "config.json"));
      return folder;
    },
    ["config.json", "not a file"],
  ),
  [
    "no folder for the tensors",
    ({ folder }) => [
      ...["generate", "A", "--model", fixture("llama-gqa"), ...onAdapter],
      ...["--save-tensors", join(folder, "none", "out.safetensors")],
    ],
    ["--save-tensors", "none", "there is no folder"],
  ],
  [
    "a folder for the tensors' file",
    ({ folder }) => [
      ...["generate", "A", "--model", fixture("llama-gqa"), ...onAdapter],
      ...["--save-tensors", folder],
    ],
    ["--save-tensors", "is a folder"],
  ],
  [
    "a device for the tensors' file",
    ({ folder }) => {
      symlinkSync("/dev/null", join(folder, "null")); // not itself: a failing test would put a file in its place
      return [
        ...["generate", "A", "--model", fixture("llama-gqa"), ...onAdapter],
        ...["--save-tensors", join(folder, "null")],
      ];
    },
    ["--save-tensors", "null", "is no regular file"],
  ],
  [
    "a prompt longer than the context",
    ({ out }) => [
      ...["generate", "a small dog ".repeat(200), "--raw-prompt"],
      ...["--model", fixture("llama-gqa"), ...out, ...onAdapter],
    ],
    [/the prompt has \d+ tokens/, "context of 160"],
  ],
  [
    "a question longer than the context",
    ({ out }) => [
      ...["ask", picture, "what? ".repeat(300)],
      ...["--model", fixture("llava-default"), ...out, ...onAdapter],
    ],
    [/the prompt has \d+ tokens/, "context of 256"],
  ],
  [
    "a budget too small for the weights",
    ({ out }) => [
      ...["generate", "A", "--memory", "100KiB", "--dtype", "f32"],
      ...["--model", fixture("llama-gqa"), ...out, ...onAdapter],
    ],
    ["the weights of", /needs \d+\.\d KiB/, "the budget is 100.0 KiB"],
  ],
  [
    "a budget too small for the work",
    ({ out }) => [
      ...["generate", "A", "--memory", "320KiB", "--dtype", "f32"],
      ...["--model", fixture("llama-gqa"), ...out, ...onAdapter],
    ],
    ["out of GPU memory", "the budget is 320.0 KiB"],
  ],
  [
    "no adapter of that name",
    ({ out }) => ["generate", "A", "--model", fixture("llama-gqa"), ...out, "--adapter", "Voodoo 2"],
    ["Voodoo 2", "there is"],
  ],
];

describeFailures("a bad place, size or adapter", placeRows);

test("no hardware GPU where one is asked for", async ({ skip }) => {
  const hardware = (await listAdapters()).filter(({ software }) => !software);
  if (hardware.length > 0) skip(`this machine has one: ${hardware[0]?.name}`);
  const argv = ["generate", "A", "--model", fixture("llama-gqa"), "--adapter", "gpu"];
  await expectFailure(({ out }) => [...argv, ...out], ["no hardware GPU was found", "there is"]);
});

test("a folder without permission to read", async ({ skip }) => {
  if (process.getuid?.() === 0) skip("nothing is forbidden to root");
  const folder = temporaryFolder();
  const model = join(folder, "model");
  mkdirSync(model, { mode: 0o000 });
  const { code, stderr } = await cli("inspect", model);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining("config.json: cannot be read"),
  });
});
