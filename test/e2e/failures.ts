import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { brokenModel, type Change } from "./broken.ts";
import { cli, filesBelow, fixture, onAdapter, temporaryFolder } from "./support.ts";

/** What a row's command line is made of: `folder` is empty at first, and holds `out.safetensors` only after success. */
export interface Place {
  readonly folder: string;
  readonly out: readonly string[];
}

export type Says = readonly (string | RegExp)[];
export type Row = readonly [name: string, argv: (place: Place) => readonly string[], says: Says];

export const picture = fixture("llava-default", "wide.png");
const llavaPrompt = "USER: <image>\nWhat is it? ASSISTANT:";

/** The command that fits a fixture, with a broken model. */
export function command(name: string, model: string, { out }: Place): string[] {
  const flags = ["--model", model, ...out, ...onAdapter];
  if (name.startsWith("clip")) return ["encode", picture, "--text", "a", ...flags];
  if (name.startsWith("llava")) return ["ask", picture, llavaPrompt, "--raw-prompt", ...flags];
  return ["generate", "A small dog", "--raw-prompt", "--max-new-tokens", "4", ...flags];
}

/** A row of a fixture with one file changed. */
export function broken(what: string, name: string, file: string, change: Change, says: Says): Row {
  return [what, (place) => command(name, brokenModel(name, place.folder, { [file]: change }), place), says];
}

/** Runs a row and checks what every failure has in common. */
export async function expectFailure(
  argv: (place: Place) => readonly string[],
  says: Says,
  runLine: typeof cli = cli,
): Promise<void> {
  const folder = temporaryFolder();
  const place = { folder, out: ["--save-tensors", join(folder, "out.safetensors")] };
  const line = argv(place);
  const before = filesBelow(folder);
  const { code, stdout, stderr } = await runLine(...line);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  for (const part of says) expect(stderr).toMatch(part);
  expect(stderr).toMatch(/^mask-llava: /m);
  expect(stderr).not.toMatch(/^\s+at .*:\d+/m);
  expect(filesBelow(folder)).toEqual(before);
}

/** A test a row: the command fails with code 1 and a message that names what is wrong, and leaves nothing behind. */
export function describeFailures(what: string, rows: readonly Row[], runLine: typeof cli = cli): void {
  describe(`${what} fails with code 1 and a message that names what is wrong`, () => {
    test.each(rows)("%s", (_, argv, says) => expectFailure(argv, says, runLine));
  });
}
