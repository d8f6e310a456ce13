import { ShapeError } from "../../errors.ts";

/** transformers' `rope_parameters` (5.x), or `rope_scaling` and `rope_theta` (older), and the size of a head. */
export interface RopeParameters {
  /** D, elements of a head. */
  readonly head_dim: number;
  /** `default`, `linear`, `llama3` or `freq_factors`; older configurations call it `type`. Default: `default`. */
  readonly rope_type?: string | undefined;
  readonly type?: string | undefined;
  /** Base of the frequencies; default 10000. */
  readonly rope_theta?: number | undefined;
  /** Part of the head that is rotated; default 1. */
  readonly partial_rotary_factor?: number | undefined;
  readonly factor?: number | undefined;
  readonly low_freq_factor?: number | undefined;
  readonly high_freq_factor?: number | undefined;
  readonly original_max_position_embeddings?: number | undefined;
  /** Of `freq_factors`: what each frequency is divided by. GGUF files have them where Hugging Face's say llama3. */
  readonly freq_factors?: readonly number[] | undefined;
}

export interface RopeFrequencies {
  /** Radians a position for each rotated pair of a head: f32 [rot / 2]. */
  readonly inverseFrequencies: Float32Array<ArrayBuffer>;
  /** What `ropeAppend` takes of this name; 1 for the types that are supported. */
  readonly attentionScaling: number;
}

function positive(name: string, value: number | undefined, ropeType: string): number {
  if (value === undefined || !Number.isFinite(value) || value <= 0)
    throw new ShapeError(`rope: rope_type ${ropeType} takes a positive ${name}, found ${value}`);
  return value;
}

/**
 * Rotary frequencies, computed in f64. After transformers' `modeling_rope_utils`: `default`, `linear` (all divided by
 * factor) and `llama3` (Llama 3.1: wavelengths beyond the original context divided by factor, a ramp between); after ggml
 * `freq_factors` (each divided by its own). Another rope_type, or a field that is absent or no positive number, is a
 * ShapeError that names it.
 */
export function ropeFrequencies(parameters: RopeParameters): RopeFrequencies {
  const ropeType = parameters.rope_type ?? parameters.type ?? "default";
  const theta = positive("rope_theta", parameters.rope_theta ?? 10000, ropeType);
  const part = parameters.partial_rotary_factor ?? 1;
  const { head_dim: size } = parameters;
  const rotary = Math.floor(size * part);
  if (!Number.isInteger(size) || !(rotary >= 2) || rotary > size || rotary % 2 !== 0) {
    throw new ShapeError(
      `rope: ${part} of a head of ${size} is ${rotary} elements to rotate; it takes an even number, at least 2 and at most the head`,
    );
  }
  const scale = frequencyScale(ropeType, parameters);
  const inverseFrequencies = Float32Array.from({ length: rotary / 2 }, (_, i) =>
    scale(theta ** ((-2 * i) / rotary), i),
  );
  return { inverseFrequencies, attentionScaling: 1 };
}

function frequencyScale(
  ropeType: string,
  parameters: RopeParameters,
): (frequency: number, i: number) => number {
  switch (ropeType) {
    case "default":
      return (frequency) => frequency;
    case "linear": {
      const factor = positive("factor", parameters.factor, ropeType);
      return (frequency) => frequency / factor;
    }
    case "llama3": {
      const factor = positive("factor", parameters.factor, ropeType);
      const low = positive("low_freq_factor", parameters.low_freq_factor, ropeType);
      const high = positive("high_freq_factor", parameters.high_freq_factor, ropeType);
      const context = positive(
        "original_max_position_embeddings",
        parameters.original_max_position_embeddings,
        ropeType,
      );
      if (high <= low)
        throw new ShapeError(
          `rope: rope_type llama3: high_freq_factor ${high} is not above low_freq_factor ${low}`,
        );
      return (frequency) => {
        const turns = (context * frequency) / (2 * Math.PI);
        // 0 below `low` turns in the original context, 1 above `high` turns
        const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
        return (1 - smooth) * (frequency / factor) + smooth * frequency;
      };
    }
    case "freq_factors": {
      const { freq_factors: factors = [] } = parameters;
      return (frequency, i) => frequency / positive(`freq_factors[${i}]`, factors[i], ropeType);
    }
    default:
      throw new ShapeError(
        `rope: rope_type ${ropeType} is not supported (default, linear, llama3 and freq_factors are)`,
      );
  }
}
