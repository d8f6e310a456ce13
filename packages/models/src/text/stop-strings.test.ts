import { describe, expect, test } from "vitest";
import { StopStrings } from "./stop-strings.ts";

function run(
  stops: string[],
  pieces: string[],
): { text: string; stopped: string | undefined; shown: string[] } {
  const filter = new StopStrings(stops);
  const shown = pieces.map((p) => filter.push(p));
  return { text: shown.join("") + filter.finish(), stopped: filter.stopped, shown };
}

describe("StopStrings", () => {
  test.each([
    [["###"], "one ## two ### three", "one ## two ", "###"],
    [["\nUSER:"], "a\nUS\nUSER: b", "a\nUS", "\nUSER:"],
    [["aab"], "aaab", "a", "aab"],
    [["abab", "bb"], "abaabb", "abaa", "bb"],
    [["b", "abc"], "xabc", "xa", "b"], // the first that is complete
    [["bc", "abc"], "xabc", "x", "abc"], // complete at the same place: the longer
    [["end"], "the en", "the en", undefined],
    [[], "anything", "anything", undefined],
    [["😀"], "a😁b😀c", "a😁b", "😀"],
    [["x"], "x", "", "x"],
  ] as [string[], string, string, string | undefined][])("%j in %j", (stops, text, expected, stopped) => {
    const whole = run(stops, [text]);
    expect([whole.text, whole.stopped]).toEqual([expected, stopped]);
    // the same for any cut into pieces, at code points as tokens' texts are
    const characters = [...text];
    for (let size = 1; size < characters.length; size++) {
      const pieces: string[] = [];
      for (let i = 0; i < characters.length; i += size) pieces.push(characters.slice(i, i + size).join(""));
      const cut = run(stops, pieces);
      expect([cut.text, cut.stopped], `pieces of ${size}`).toEqual([expected, stopped]);
      for (const piece of cut.shown) expect(piece).not.toMatch(/\p{Surrogate}/u);
    }
  });

  test("keeps back no more than it must, and nothing follows a stop", () => {
    const filter = new StopStrings(["\n\n"]);
    expect(["a", "\n", "b", "\n", "\n", "c"].map((p) => filter.push(p))).toEqual([
      "a",
      "",
      "\nb",
      "",
      "",
      "",
    ]);
    expect([filter.stopped, filter.finish(), filter.push("d")]).toEqual(["\n\n", "", ""]);
  });

  test.each(["", "\ud83d", "a\udc00"])("refuses %j", (stop) => {
    expect(() => new StopStrings([stop])).toThrow(/stop string/);
  });
});
