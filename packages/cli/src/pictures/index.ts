export { drawInversions } from "./heat-picture.ts";
export { type DrawnObject, drawObjects } from "./objects-picture.ts";
export type { Heading } from "./page.ts";
export { rasterize } from "./svg.ts";
export { drawTokenSheet, type SheetObject, type TokenSheet } from "./token-sheet.ts";
