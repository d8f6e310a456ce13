import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { maskLlavaConfigurations } from "./configurations.ts";
import { addEvalFlags, checkEvalFlags, type EvalFlags } from "./flags.ts";

function flagsOf(...argv: string[]): EvalFlags {
  const command = addEvalFlags(new Command("eval"))
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  command.parse(["--dataset", "d", ...argv], { from: "user" });
  return command.opts();
}

const names = (...argv: string[]) => maskLlavaConfigurations(flagsOf(...argv)).map(({ name }) => name);

describe("configurations", () => {
  test("without budgets there is one, of all tokens", () => {
    const [all, ...others] = maskLlavaConfigurations(flagsOf());
    expect(others).toEqual([]);
    expect(all).toEqual({
      name: "all tokens",
      role: "main",
      tokens: null,
      dropPolicy: null,
      compose: { shortage: "take-all" },
    });
  });

  test("every budget is measured with every policy, the largest first; all tokens need no policy", () => {
    expect(names("--tokens", "8,all,16,8", "--drop-policy", "area,score")).toEqual([
      "all tokens",
      "16 tokens, area",
      "16 tokens, score",
      "8 tokens, area",
      "8 tokens, score",
    ]);
    const [main, other] = maskLlavaConfigurations(flagsOf("--tokens", "8,16"));
    expect(main).toMatchObject({ name: "16 tokens, score", role: "main", compose: { tokens: 16 } });
    expect(other).toMatchObject({ name: "8 tokens, score", role: "budget", dropPolicy: "score" });
  });

  test("a limit of objects makes policies matter for all tokens too, and seeds are of the random one", () => {
    const rows = maskLlavaConfigurations(
      flagsOf("--objects", "3", "--drop-policy", "random,score", "--seed", "7", "--no-cls", "--no-patches"),
    );
    expect(rows.map(({ name }) => name)).toEqual(["all tokens, random", "all tokens, score"]);
    expect(rows[0]?.compose).toMatchObject({ objects: 3, cls: false, patches: false, dropSeed: 7 });
    expect(rows[1]?.compose).not.toHaveProperty("dropSeed");
  });

  test("ablations leave out one kind of token each, and nothing else", () => {
    const rows = maskLlavaConfigurations(flagsOf("--ablations", "--no-background", "--tokens", "8"));
    expect(rows.slice(1).map(({ name, role, compose }) => ({ name, role, compose }))).toEqual([
      { name: "without cls", role: "ablation", compose: { cls: false, shortage: "take-all" } },
      { name: "without patches", role: "ablation", compose: { patches: false, shortage: "take-all" } },
      { name: "without objects", role: "ablation", compose: { objects: 0, shortage: "take-all" } },
      { name: "without background", role: "ablation", compose: { background: false, shortage: "take-all" } },
    ]);
  });
});

test.each([
  [["--no-patches", "--patch-grid", "2x2"], /--no-patches leaves --patch-grid nothing to do/],
  [["--seed", "3"], /--seed has a meaning only with --drop-policy random/],
  [["--drop-policy", "area", "--tokens", "all"], /--drop-policy has a meaning only with --objects/],
  [["--resume"], /--resume needs --answers FILE/],
  [["--compare", "a=x", "--compare", "a=y"], /the name "a" is given twice/],
  [["--compare", "all tokens=x"], /"all tokens" is that of another configuration/],
  [["--compare", "baseline=x", "--baseline", "y"], /"baseline" is that of another configuration/],
])("%j contradicts itself", (argv, message) => {
  expect(() => checkEvalFlags(flagsOf(...argv))).toThrow(message);
});

test.each([
  ["--tokens", "8,x", /Expected whole numbers of at least 1, or all/],
  ["--tokens", "", /Expected whole numbers/],
  ["--tokens", "0", /Expected whole numbers/],
  ["--drop-policy", "score,best", /Expected score, area, diverse, random/],
  ["--compare", "runs/none", /Expected a name and a checkpoint folder/],
  ["--plot", "plot.pdf", /ends in .svg or .png/],
  ["--limit", "0", /at least 1/],
])("%s %j is refused", (flag, value, message) => {
  expect(() => flagsOf(flag, value)).toThrow(message);
});
