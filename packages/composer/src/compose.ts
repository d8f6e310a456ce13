import { concat, gatherRows, matmul, mul, pad, type Recorder, type Tensor } from "@mask-llava/runtime";
import { ComposeError } from "./errors.ts";
import { patchMeanNorm, scaleToNorm } from "./norm-scale.ts";
import { poolingMatrix } from "./pool.ts";
import type { ProjectedKind, Projector } from "./projector.ts";
import type { MaskLlavaSettings } from "./settings.ts";
import {
  type Composition,
  type Grid,
  type ObjectCandidate,
  patchCount,
  type TokenKind,
} from "./visual-tokens.ts";

/** All tokens of a picture, as the networks give them, on the GPU. */
export interface TokenSources {
  /** [1, Dv] */
  readonly cls: Tensor;
  /** [rows · columns, Dv] */
  readonly patches: Tensor;
  readonly grid: Grid;
  /** One a candidate [M, Do]; undefined where there are none. */
  readonly objects: Tensor | undefined;
  readonly candidates: readonly ObjectCandidate[];
}

export interface ComposedTokens {
  /** Before the projector, scaled; narrower kinds are padded with zeros to the widest. [N, Dw] */
  readonly visualTokens: Tensor;
  /** Behind it. [N, D] */
  readonly visualEmbeds: Tensor;
  /** Kind of each. */
  readonly kinds: readonly TokenKind[];
  /** Candidate of each object or background token, -1 for others. */
  readonly candidates: readonly number[];
}

interface Part {
  readonly kind: ProjectedKind;
  readonly tokens: Tensor; // [n, Dkind]
  readonly kinds: readonly TokenKind[];
  readonly candidates: readonly number[];
}

/**
 * Kept tokens, scaled to harmonise their norms, in the checkpoint's order, and through the projector ("When LLaVA Meets
 * Objects", token composition). Nothing here depends on data but through `composition`.
 */
export function compose(
  cmd: Recorder,
  sources: TokenSources,
  composition: Composition,
  settings: MaskLlavaSettings,
  projector: Projector,
): ComposedTokens {
  const scale = scaler(cmd, sources, settings, projector);
  const objectPart = (name: "object" | "background"): Part[] => {
    const kept = composition.objects.filter((i) => sources.candidates[i]?.kind === name);
    if (!kept.length || !sources.objects) return [];
    const rows = cmd.constant({ shape: [kept.length], dtype: "u32", label: "kept" }, Uint32Array.from(kept));
    const tokens = scale("object", gatherRows(cmd, sources.objects, rows)); // [n, Do]
    return [{ kind: "object", tokens, kinds: kept.map(() => name), candidates: kept }];
  };
  const makers: Record<MaskLlavaSettings["order"][number], () => Part[]> = {
    cls: () =>
      composition.cls
        ? [{ kind: "cls", tokens: scale("cls", sources.cls), kinds: ["cls"], candidates: [-1] }] // [1, Dv]
        : [],
    patches: () => {
      const count = patchCount(composition.patches);
      if (!count) return [];
      const matrix = poolingMatrix(composition.patches, sources.grid);
      const shape = [count, sources.grid.rows * sources.grid.columns];
      const pooling = cmd.constant({ shape, dtype: "f32", label: "pooling" }, matrix); // [n, N]
      const tokens = scale("patch", matmul(cmd, pooling, sources.patches)); // [n, Dv]
      return [
        { kind: "patch", tokens, kinds: Array(count).fill("patch"), candidates: Array(count).fill(-1) },
      ];
    },
    objects: () => objectPart("object"),
    background: () => objectPart("background"),
  };
  const parts = settings.order.flatMap((name) => makers[name]());
  if (!parts.length) throw new ComposeError("a composition without any visual token");
  const widest = Math.max(...parts.map(({ tokens }) => tokens.shape[1] as number));
  const padded = parts.map(({ tokens }) => {
    const missing = widest - (tokens.shape[1] as number);
    return missing
      ? pad(cmd, tokens, [
          [0, 0],
          [0, missing],
        ])
      : tokens; // [n, Dw]
  });
  return {
    visualTokens: stack(cmd, padded), // [N, Dw]
    visualEmbeds: stack(
      cmd,
      parts.map(({ kind, tokens }) => projector.forward(cmd, kind, tokens)),
    ), // [N, D]
    kinds: parts.flatMap(({ kinds }) => kinds),
    candidates: parts.flatMap(({ candidates }) => candidates),
  };
}

/** What `norm_scaling` does to the tokens of a kind. */
function scaler(cmd: Recorder, sources: TokenSources, settings: MaskLlavaSettings, projector: Projector) {
  switch (settings.norm_scaling) {
    case "none":
      return (_: ProjectedKind, x: Tensor) => x;
    case "learned":
      return (kind: ProjectedKind, x: Tensor) => (projector.scales ? mul(cmd, x, projector.scales[kind]) : x);
    case "patch_mean": {
      const norm = patchMeanNorm(cmd, sources.patches); // [1, 1]
      return (kind: ProjectedKind, x: Tensor) => (kind === "patch" ? x : scaleToNorm(cmd, x, norm));
    }
  }
}

function stack(cmd: Recorder, parts: readonly Tensor[]): Tensor {
  const [first] = parts;
  return parts.length === 1 && first ? first : concat(cmd, [...parts], 0);
}
