import { expect, test } from "vitest";
import { rasterize } from "../pictures/index.ts";
import { drawPlot, linesOf } from "./plot.ts";
import type { ConfigurationResult } from "./tally.ts";
import { wilson } from "./wilson.ts";

function measured(
  name: string,
  role: ConfigurationResult["role"],
  visualTokens: number,
  accuracy: number,
  dropPolicy: ConfigurationResult["dropPolicy"] = null,
): ConfigurationResult {
  const n = 4000;
  const right = Math.round(accuracy * n);
  const tokens = role === "budget" ? visualTokens : null;
  const share = { accuracy, right, n, interval: wilson(right, n) };
  return { name, role, model: "m", tokens, dropPolicy, visualTokens, newTokens: 3, kinds: {}, ...share };
}

const all = [
  measured("all tokens", "main", 41.7, 0.93),
  ...(["score", "area", "diverse", "random"] as const).flatMap((policy, p) =>
    [8, 16, 24, 32].map((tokens, i) =>
      measured(`${tokens} tokens, ${policy}`, "budget", tokens, 0.6 + 0.08 * i - 0.02 * p, policy),
    ),
  ),
  measured("without cls", "ablation", 40.7, 0.9),
  measured("no <scaling>", "compare", 41.7, 0.8),
  measured("baseline", "baseline", 144, 0.92),
];

const heading = { title: "Accuracy & tokens", subtitle: "4000 questions" };

test("every policy has a line, which all tokens end", () => {
  const points = linesOf(all);
  expect(points.length).toBe(4 * 5);
  for (const policy of ["score", "area", "diverse", "random"]) {
    const own = points.filter((point) => point.policy === policy);
    expect(own.map(({ tokens }) => tokens)).toContain(41.7);
  }
  expect(linesOf(all.slice(0, 1))).toEqual([
    expect.objectContaining({ policy: "all tokens", accuracy: 0.93 }),
  ]);
  expect(linesOf([])).toEqual([]);
});

test("the plot is SVG with its labels as text, and PNG at twice its size", async () => {
  const svg = await drawPlot(all, heading);
  expect(svg).toMatch(/^<svg /);
  for (const text of ["Accuracy &amp; tokens", "4000 questions", "visual tokens", "score", "random", "92.0%"])
    expect(svg).toContain(text);
  expect(svg).not.toMatch(/NaN|undefined|http:\/\/(?!www\.w3\.org)/);
  const png = Buffer.from(rasterize(svg));
  expect(png.toString("latin1", 1, 4)).toBe("PNG");
  const [, width] = /width="(\d+)"/.exec(svg) as unknown as [string, string];
  expect(png.readUInt32BE(16)).toBe(2 * Number(width));
});

test.each([
  ["one point", all.slice(0, 1)],
  ["a LLaVA checkpoint alone", [measured("all tokens", "main", 576, 0)]],
  ["nothing right", all.map((one) => ({ ...one, accuracy: 0, interval: [0, 0.01] as const }))],
])("%s can be drawn", async (_, configurations) => {
  expect(await drawPlot(configurations, heading)).not.toMatch(/NaN|undefined/);
});
