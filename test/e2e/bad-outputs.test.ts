import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cli, fixture, temporaryFolder } from "./support.ts";

const picture = fixture("llava-default", "wide.png");

test.each([
  ["ask", ["What is it?", "--model", fixture("llava-default")]],
  ["encode", ["--model", fixture("clip-quick-gelu")]],
  ["detect", []],
  ["segment", ["--point", "1,1,1"]],
  ["compose", []],
])("%s does not write tensors over the picture that it reads", async (command, more) => {
  const file = join(temporaryFolder(), "picture.png");
  copyFileSync(picture, file);
  const { code, stdout, stderr } = await cli(command, file, ...more, "--save-tensors", file);
  expect({ code, stdout, stderr }).toEqual({
    code: 2,
    stdout: "",
    stderr: `mask-llava: --save-tensors ${file} would replace a file that is read\n`,
  });
  expect(readFileSync(file).equals(readFileSync(picture))).toBe(true);
});
