import type { NetworkArithmetic } from "@mask-llava/runtime";
import type { Conditions } from "../common/conditions.ts";
import type { Size } from "../common/sizes.ts";
import type { LoadingSpeed } from "./loading.ts";
import { askProcess, type ModelRow } from "./process.ts";

export type { ModelRow } from "./process.ts";

export interface ModelReport {
  readonly benchmark: "models";
  readonly size: Size;
  readonly arithmetic: NetworkArithmetic;
  readonly conditions: Conditions;
  /** Wall seconds of the whole run. */
  readonly seconds: number;
  readonly loading: LoadingSpeed;
  readonly rows: readonly ModelRow[];
}

export interface ModelRun {
  readonly adapter: string;
  readonly arithmetic: NetworkArithmetic;
  readonly size: Size | undefined;
  readonly names: readonly string[];
  readonly note: string | undefined;
  readonly onRow?: (row: ModelRow) => void;
}

/** Measures each network in a process of its own, one after the other. */
export async function runModels({
  names,
  onRow,
  note,
  size: asked,
  ...where
}: ModelRun): Promise<ModelReport> {
  const begun = performance.now();
  const { size, conditions } = await askProcess({ wanted: "conditions", note, size: asked, ...where });
  const rows: ModelRow[] = [];
  for (const name of names) {
    const row = await askProcess({ wanted: "network", name, size, ...where });
    rows.push(row);
    onRow?.(row);
  }
  const loading = await askProcess({ wanted: "loading", size, ...where });
  const seconds = (performance.now() - begun) / 1e3;
  return { benchmark: "models", size, arithmetic: where.arithmetic, conditions, seconds, loading, rows };
}
