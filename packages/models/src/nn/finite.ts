import { RuntimeError } from "@mask-llava/runtime";

/**
 * Throws a RuntimeError NOT_FINITE where a network's answer holds NaN or infinity, as broken weights give: it would be taken
 * for one that means something.
 * @param what whose answer it is, and what it holds, for the message: "CLIP: the picture's embedding"
 */
export function checkFinite(what: string, values: Float32Array): void {
  if (values.every(Number.isFinite)) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  throw new RuntimeError(
    "NOT_FINITE",
    `${what}: NaN or infinity (found ${values[at]} at ${at} of ${values.length} values, expected finite numbers)`,
  );
}
