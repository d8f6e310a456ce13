import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { sampleOp } from "./index.ts";
import type { SampleInputs, SampleParams } from "./spec.ts";

interface Settings {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly penalty?: number;
}

/** Scores are multiples of 1/8, so that many are tied and thresholds do not hang on rounding. */
function sampleCase(
  batch: number,
  vocabulary: number,
  params: SampleParams,
  settings: Settings = {},
): OpCase<SampleInputs, SampleParams> {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, penalty = 1 } = settings;
  const capacity = 9;
  return {
    name: `[${batch}, ${vocabulary}] ${params.draw ? "draw" : "greedy"} ${JSON.stringify(settings)}`,
    params,
    inputs: (r) => {
      const logits = r.normals([batch, vocabulary], { scale: 3 });
      return {
        logits: hostTensor(
          logits.shape,
          "f32",
          logits.data.map((v) => Math.round(v * 8) / 8),
        ),
        history: r.integers([batch, capacity], 0, vocabulary),
        length: r.integers([batch], 0, capacity + 1),
        random: r.integers([batch, 2], 0, 2 ** 32),
        settings: hostTensor([5], "f32", [temperature, topK, topP, minP, penalty]),
      };
    },
    tolerance: { abs: 0, rel: 0 },
  };
}

const greedy = { draw: false, penalty: false };
const draw = { draw: true, penalty: false };

export const sampleSuite = suite(sampleOp, [
  sampleCase(1, 1, greedy),
  sampleCase(3, 1001, greedy),
  sampleCase(2, 77, { draw: false, penalty: true }, { penalty: 1.7 }),
  sampleCase(2, 5, draw),
  sampleCase(4, 300, draw, { temperature: 0.7 }),
  sampleCase(3, 300, draw, { topK: 5 }),
  sampleCase(3, 257, draw, { topK: 256, topP: 0.5 }),
  sampleCase(5, 513, draw, { topP: 0.9 }),
  sampleCase(2, 513, draw, { topP: 0.01 }),
  sampleCase(4, 100, draw, { minP: 0.3 }),
  sampleCase(
    4,
    1200,
    { draw: true, penalty: true },
    { temperature: 1.3, topK: 40, topP: 0.8, minP: 0.05, penalty: 1.3 },
  ),
]);
