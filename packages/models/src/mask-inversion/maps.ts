import { linear, permute, type Recorder, type Tensor } from "@mask-llava/runtime";

/** A `MapResampling` on the GPU. */
export interface ResamplingTensors {
  readonly rowsForward: Tensor; // [H, gh]
  readonly rowsAdjoint: Tensor; // [gh, H]
  readonly columnsForward: Tensor; // [W, gw]
  readonly columnsAdjoint: Tensor; // [gw, W]
}

/** x [M, a, b] -> [M, rows, columns] = rows · x · columnsᵀ. rows [r, a], columns [c, b]. */
function bothAxes(cmd: Recorder, x: Tensor, rows: Tensor, columns: Tensor): Tensor {
  const across = linear(cmd, x, columns); // [M, a, c]
  const turned = permute(cmd, across, [0, 2, 1]); // [M, c, a]
  return permute(cmd, linear(cmd, turned, rows), [0, 2, 1]); // [M, r, c]
}

/** Maps at the masks' size from the patches' values. [M, gh, gw] -> [M, H, W] */
export function mapsToPixels(cmd: Recorder, patches: Tensor, r: ResamplingTensors): Tensor {
  return bothAxes(cmd, patches, r.rowsForward, r.columnsForward);
}

/** The adjoint: how much of each mask lies on each patch's part of a map. [M, H, W] -> [M, gh, gw] */
export function masksToPatches(cmd: Recorder, masks: Tensor, r: ResamplingTensors): Tensor {
  return bothAxes(cmd, masks, r.rowsAdjoint, r.columnsAdjoint);
}
