import type { ComposeOptions, DropPolicy } from "@mask-llava/composer";
import type { EvalFlags } from "./flags.ts";

/** What a checkpoint is asked with: one row of the table. */
export interface Configuration {
  /** Unique in a run. */
  readonly name: string;
  /**
   * `main`: what the overall accuracy is of; `budget`: fewer tokens; `ablation`: a kind of token left out; `compare`: another
   * Mask-LLaVA checkpoint with all tokens; `baseline`: LLaVA with all patch tokens.
   */
  readonly role: "main" | "budget" | "ablation" | "compare" | "baseline";
  /** Visual tokens at most; null: all. */
  readonly tokens: number | null;
  /** Null where nothing is dropped by a policy. */
  readonly dropPolicy: DropPolicy | null;
  /** For Mask-LLaVA. */
  readonly compose: ComposeOptions;
}

/** Kinds of token that `--ablations` leaves out, one at a time. */
const ablations = {
  cls: { cls: false },
  patches: { patches: false },
  objects: { objects: 0 },
  background: { background: false },
} as const satisfies Record<string, ComposeOptions>;

/** Configurations of `--model`, a Mask-LLaVA checkpoint, the main one first. */
export function maskLlavaConfigurations(flags: EvalFlags): Configuration[] {
  const { objects, patchGrid, cls, patches, background, seed = 0, tokens = [null] } = flags;
  const shortage = "take-all"; // a budget means the same for pictures of few objects
  const base: ComposeOptions = {
    shortage,
    ...(objects !== undefined && { objects }),
    ...(patchGrid && { patchGrid }),
    ...(!cls && { cls }),
    ...(!patches && { patches }),
    ...(!background && { background }),
  };
  const policies = flags.dropPolicy ?? ["score"];
  const budgets = [...new Set(tokens)].toSorted((a, b) => (b ?? Infinity) - (a ?? Infinity));
  const rows = budgets.flatMap((budget): Configuration[] => {
    // without a budget nothing is dropped, unless the number of objects is limited
    const dropping = budget !== null || objects !== undefined ? policies : [null];
    return dropping.map((dropPolicy) => ({
      name: nameOf(budget, dropPolicy),
      role: "budget",
      tokens: budget,
      dropPolicy,
      compose: {
        ...base,
        ...(budget !== null && { tokens: budget }),
        ...(dropPolicy && { dropPolicy }),
        ...(dropPolicy === "random" && { dropSeed: seed }),
      },
    }));
  });
  const [main, ...others] = rows;
  return [
    ...(main ? [{ ...main, role: "main" } as const] : []),
    ...others,
    ...(flags.ablations ? ablationRows() : []),
  ];
}

function nameOf(budget: number | null, dropPolicy: DropPolicy | null): string {
  const tokens = budget === null ? "all tokens" : `${budget} tokens`;
  return dropPolicy ? `${tokens}, ${dropPolicy}` : tokens;
}

function ablationRows(): Configuration[] {
  return Object.entries(ablations).map(([kind, compose]) => ({
    name: `without ${kind}`,
    role: "ablation",
    tokens: null,
    dropPolicy: null,
    compose: { ...compose, shortage: "take-all" },
  }));
}

/** The one of a checkpoint of `--compare`. */
export function compareConfiguration(name: string): Configuration {
  return { name, role: "compare", tokens: null, dropPolicy: null, compose: { shortage: "take-all" } };
}

/** The one of a LLaVA checkpoint. */
export function llavaConfiguration(role: "main" | "baseline"): Configuration {
  const name = role === "main" ? "all tokens" : "baseline";
  return { name, role, tokens: null, dropPolicy: null, compose: {} };
}
