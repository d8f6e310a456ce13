import { ComposeError } from "./errors.ts";
import {
  type Composition,
  type Grid,
  gridSize,
  type ObjectCandidate,
  type PatchLayout,
  patchCount,
  rectangle,
  tokenCount,
} from "./visual-tokens.ts";

/** What a caller may ask of a composition; everything else is the checkpoint's. */
export interface BudgetOptions {
  /** Visual tokens in total: [CLS] first, then a pooled grid, then objects by rank. */
  readonly tokens?: number | undefined;
  /** Object tokens, without the background. */
  readonly objects?: number | undefined;
  readonly patchGrid?: Grid | undefined;
  readonly cls?: boolean | undefined;
  /** False: no patch tokens, whatever the budget. */
  readonly patches?: boolean | undefined;
  readonly background?: boolean | undefined;
  /**
   * What happens where a picture has fewer tokens than `tokens`, or fewer objects than `objects`: an error (the default), or
   * all that there are are taken, as a budget over many pictures has to.
   */
  readonly shortage?: "refuse" | "take-all" | undefined;
}

/** What a picture offers. */
export interface Offer {
  /** The checkpoint's pooled grid. */
  readonly grid: Grid;
  /** The vision tower's grid: no pooled grid is larger. */
  readonly largestGrid: Grid;
  readonly candidates: readonly ObjectCandidate[];
  /** Candidates, the one to keep longest first: what a drop policy says. */
  readonly ranking: readonly number[];
}

/**
 * The composition for a budget: exactly so many tokens. Without a budget: everything. Where the grid does not fit the budget
 * a coarser one is taken and objects fill what is left; where there are too few of them for that, rows of bins differ by one.
 * @throws ComposeError for a budget that is not a number of tokens, or more than there are
 */
export function planComposition(offer: Offer, options: BudgetOptions): Composition {
  const { cls = true, shortage = "refuse" } = options;
  const grid = chosenGrid(offer, options);
  const usable = offer.ranking.filter((i) => {
    const { kind } = offer.candidates[i] as ObjectCandidate;
    return kind === "object" || (options.background ?? true);
  });
  const ranked = limitObjects(usable, offer.candidates, options.objects, shortage);
  const everything: Composition = { cls, patches: grid ? rectangle(grid) : [], objects: inOrder(ranked) };
  const { tokens } = options;
  if (tokens === undefined) return everything;
  if (!Number.isInteger(tokens) || tokens < 1) {
    throw new ComposeError(`a budget of ${tokens} visual tokens; it must be a whole number of at least 1`);
  }
  if (tokens > tokenCount(everything)) {
    if (shortage === "take-all") return everything;
    throw new ComposeError(`a budget of ${tokens} visual tokens; there are ${describe(everything, offer)}`);
  }
  const rest = tokens - (cls ? 1 : 0);
  const patches = grid ? patchesWithin(rest, grid, ranked.length) : [];
  return { cls, patches, objects: inOrder(ranked.slice(0, rest - patchCount(patches))) };
}

/** Patch tokens for `tokens` places, of which at most `objects` can go to objects. */
function patchesWithin(tokens: number, grid: Grid, objects: number): PatchLayout {
  const fits = (size: number) => size <= tokens && tokens - size <= objects;
  const whole = coarserGrids(grid).find((g) => fits(gridSize(g)));
  if (whole) return rectangle(whole);
  return tokens <= objects ? [] : raggedLayout(tokens - objects, grid);
}

/** `count` bins in rows that differ by at most one, within `grid` and near its proportions. */
export function raggedLayout(count: number, grid: Grid): PatchLayout {
  const rows = Array.from({ length: grid.rows }, (_, i) => i + 1).filter(
    (r) => r <= count && Math.ceil(count / r) <= grid.columns,
  );
  const skew = (r: number) => Math.abs(Math.log((count / r / r) * (grid.rows / grid.columns)));
  const best = rows.sort((a, b) => skew(a) - skew(b) || a - b)[0] ?? 1;
  return Array.from({ length: best }, (_, i) => Math.floor(count / best) + (i < count % best ? 1 : 0));
}

/** Grids that are nowhere finer: the most tokens first, of equal ones the nearest to the grid's own proportions. */
export function coarserGrids(grid: Grid): Grid[] {
  const grids: Grid[] = [];
  for (let rows = 1; rows <= grid.rows; rows++) {
    for (let columns = 1; columns <= grid.columns; columns++) grids.push({ rows, columns });
  }
  const skew = (g: Grid) => Math.abs(Math.log((g.rows * grid.columns) / (g.columns * grid.rows)));
  return grids.sort((a, b) => gridSize(b) - gridSize(a) || skew(a) - skew(b) || a.rows - b.rows);
}

/** The grid to pool to; undefined without patch tokens. */
function chosenGrid(offer: Offer, { patches = true, patchGrid }: BudgetOptions): Grid | undefined {
  if (patches) {
    const grid = patchGrid ?? offer.grid;
    checkGrid(grid, offer.largestGrid);
    return grid;
  }
  if (!patchGrid) return undefined;
  throw new ComposeError(
    `a pooled grid of ${patchGrid.rows}x${patchGrid.columns} without patch tokens; one of the two is possible`,
  );
}

function checkGrid(grid: Grid, largest: Grid): void {
  const sides = [grid.rows, grid.columns];
  if (
    sides.every((n) => Number.isInteger(n) && n >= 1) &&
    grid.rows <= largest.rows &&
    grid.columns <= largest.columns
  )
    return;
  throw new ComposeError(
    `a pooled grid of ${grid.rows}x${grid.columns}; it must lie between 1x1 and the vision tower's ${largest.rows}x${largest.columns}`,
  );
}

function limitObjects(
  ranked: readonly number[],
  candidates: readonly ObjectCandidate[],
  objects: number | undefined,
  shortage: "refuse" | "take-all",
): readonly number[] {
  if (objects === undefined) return ranked;
  const available = ranked.filter((i) => candidates[i]?.kind === "object");
  const tooMany = objects > available.length && shortage === "refuse";
  if (!Number.isInteger(objects) || objects < 0 || tooMany) {
    throw new ComposeError(`${objects} object tokens were asked for; the picture has ${available.length}`);
  }
  const kept = new Set(available.slice(0, objects));
  return ranked.filter((i) => kept.has(i) || candidates[i]?.kind === "background");
}

function inOrder(indices: readonly number[]): number[] {
  return [...indices].sort((a, b) => a - b);
}

function describe(all: Composition, { candidates }: Offer): string {
  const background = all.objects.some((i) => candidates[i]?.kind === "background") ? 1 : 0;
  const parts = [
    `${all.cls ? 1 : 0} [CLS]`,
    `${patchCount(all.patches)} patches`,
    `${all.objects.length - background} objects`,
    `${background} background`,
  ];
  return `${tokenCount(all)}: ${parts.join(", ")}`;
}
