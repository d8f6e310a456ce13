import { concatOp, padOp, permuteOp, sliceOp, type Tensor } from "@mask-llava/runtime";
import { type Translation, translation, Untranslatable } from "./translation.ts";

export const layout: readonly Translation[] = [
  translation(permuteOp, (graph, { inputs: { x }, params: { axes: perm } }) =>
    graph.apply("Transpose", [graph.read(x)], { attributes: { perm } }),
  ),
  translation(sliceOp, (graph, { inputs: { x }, params: { starts, ends } }) => {
    const cut = [...x.shape.keys()].filter((axis) => starts[axis] !== 0 || ends[axis] !== x.shape[axis]);
    const along = (bounds: readonly number[]) => graph.integers(cut.map((axis) => bounds[axis] as number));
    return graph.apply("Slice", [graph.read(x), along(starts), along(ends), graph.integers(cut)]);
  }),
  translation(padOp, (graph, { inputs: { x }, params: { padding, value } }) => {
    if (value !== 0) throw new Untranslatable("pad: with another value than 0");
    const counts = [...padding.map(([before]) => before), ...padding.map(([, after]) => after)];
    return graph.apply("Pad", [graph.read(x), graph.integers(counts)]);
  }),
  translation(concatOp, (graph, { inputs, params: { axis } }) => {
    const parts = Object.values(inputs as Readonly<Record<string, Tensor>>).map((t) => graph.read(t));
    return graph.apply("Concat", parts, { attributes: { axis } });
  }),
];
