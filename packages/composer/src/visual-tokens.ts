/** Rows and columns of a pooled grid of patch tokens. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** How patch tokens are pooled: the number of bins in each row of bins. Rectangular but where a budget does not allow it. */
export type PatchLayout = readonly number[];

export type TokenKind = "cls" | "patch" | "object" | "background";

/** What is known of a candidate object token when it is decided which to keep. */
export interface ObjectCandidate {
  readonly kind: "object" | "background";
  /** Detection score; 0 for the background. */
  readonly score: number;
  /** Share of the picture that its mask covers, 0 to 1. */
  readonly area: number;
}

/** Which visual tokens to keep: every count is known before anything runs, so no shape depends on data. */
export interface Composition {
  readonly cls: boolean;
  /** Empty: no patch tokens. */
  readonly patches: PatchLayout;
  /** Indices of kept candidates, in the candidates' order. */
  readonly objects: readonly number[];
}

export function gridSize(grid: Grid): number {
  return grid.rows * grid.columns;
}

export function rectangle({ rows, columns }: Grid): PatchLayout {
  return Array<number>(rows).fill(columns);
}

export function patchCount(layout: PatchLayout): number {
  return layout.reduce((sum, columns) => sum + columns, 0);
}

/** Visual tokens that a composition has. */
export function tokenCount({ cls, patches, objects }: Composition): number {
  return (cls ? 1 : 0) + patchCount(patches) + objects.length;
}
