import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { withProgress } from "./progress.ts";

/** A stream that passes for a terminal. */
function terminal() {
  const chunks: string[] = [];
  const stream = new PassThrough();
  stream.on("data", (chunk: Buffer) => chunks.push(chunk.toString("utf8")));
  const nothing = () => true;
  const sink = Object.assign(stream, { isTTY: true, columns: 80, cursorTo: nothing, clearLine: nothing });
  return { sink, text: () => chunks.join("") };
}

describe("loading", () => {
  test("shows a bar of bytes on a terminal, and shows the cursor again", async () => {
    const { sink, text } = terminal();
    const result = await withProgress(sink, "loading", async (onProgress) => {
      onProgress(2 ** 20, 4 * 2 ** 20);
      onProgress(4 * 2 ** 20, 4 * 2 ** 20);
      return 7;
    });
    expect(result).toBe(7);
    expect(text()).toContain("loading");
    expect(text()).toContain("of 4.0 MiB");
    expect(text().lastIndexOf("\x1b[?25h")).toBeGreaterThan(text().lastIndexOf("\x1b[?25l"));
  });

  test("ends the bar where the work fails", async () => {
    const { sink, text } = terminal();
    const failing = withProgress(sink, "loading", async (onProgress) => {
      onProgress(1, 2);
      throw new Error("no more");
    });
    await expect(failing).rejects.toThrow("no more");
    expect(text().lastIndexOf("\x1b[?25h")).toBeGreaterThan(text().lastIndexOf("\x1b[?25l"));
  });

  test("shows nothing elsewhere", async () => {
    let text = "";
    const sink = { write: (more: string) => (text += more) };
    await withProgress(sink, "loading", async (onProgress) => onProgress(1, 1));
    expect(text).toBe("");
  });
});
