import {
  type HostTensorData,
  inspectCheckpoint,
  type KvDType,
  MemoryFolder,
  planeTensors,
  quantizationConfig,
  quantizedKey,
  type WeightDType,
  writeSafetensors,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { describe, expect, test } from "vitest";
import { floatDTypes, sayIdleArithmetic, settleDtype } from "./weight-dtype.ts";

/** A LLaMA of one layer, of which nobody reads more than the headers. `planes`: its layer was quantised to q8_0 before. */
function smallLlama({ planes = false } = {}): MemoryFolder {
  const [width, inner, vocabulary] = [64, 128, 96];
  const config = {
    model_type: "llama",
    hidden_size: width,
    intermediate_size: inner,
    vocab_size: vocabulary,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: 128,
    ...(planes && { quantization_config: quantizationConfig }),
  };
  const layer = "model.layers.0";
  const shapes: Record<string, number[]> = {
    "model.embed_tokens.weight": [vocabulary, width],
    "lm_head.weight": [vocabulary, width],
    "model.norm.weight": [width],
    [`${layer}.input_layernorm.weight`]: [width],
    [`${layer}.post_attention_layernorm.weight`]: [width],
    ...Object.fromEntries(
      ["q", "k", "v", "o"].map((n) => [`${layer}.self_attn.${n}_proj.weight`, [width, width]]),
    ),
    [`${layer}.mlp.gate_proj.weight`]: [inner, width],
    [`${layer}.mlp.up_proj.weight`]: [inner, width],
    [`${layer}.mlp.down_proj.weight`]: [width, inner],
  };
  const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const tensors: Record<string, HostTensorData> = {};
  const quantized: Record<string, object> = {};
  for (const [name, shape] of Object.entries(shapes)) {
    if (planes && name.includes("_proj")) {
      const entry = { dtype: "q8_0", shape } as const;
      const { quants, scales } = planeTensors(name, entry);
      tensors[quants.name] = { shape: quants.shape, data: new Uint8Array(size(quants.shape)) };
      tensors[scales.name] = { shape: scales.shape, data: new Uint16Array(size(scales.shape)) };
      quantized[name] = entry;
    } else {
      tensors[name] = { shape, data: new Float32Array(size(shape)) };
    }
  }
  return new MemoryFolder({
    "config.json": new TextEncoder().encode(JSON.stringify(config)),
    "model.safetensors": writeSafetensors(
      tensors,
      planes ? { [quantizedKey]: JSON.stringify(quantized) } : {},
    ),
  });
}

const folder = smallLlama();

async function settle(
  budget: number,
  given?: WeightDType,
  choices?: readonly WeightDType[],
  checkpoint = folder,
  givenKv?: KvDType,
) {
  let stderr = "";
  const io = {
    stdout: { write: () => {} },
    stderr: { write: (text: string) => (stderr += text) },
    signal: new AbortController().signal,
  };
  const device = { memory: () => ({ budget }) } as unknown as Device;
  const flags = { ...(given && { dtype: given }), ...(givenKv && { kvDtype: givenKv }) };
  const settled = await settleDtype(device, flags, checkpoint, io, choices);
  return { dtype: settled.dtype, kvDtype: settled.kvDtype, stderr };
}

/** The least budget with which weights and a KV cache of the whole context (which is short) leave a tenth. */
async function least(dtype: WeightDType, kvDtype: KvDType): Promise<number> {
  const { load } = await inspectCheckpoint(folder);
  const cache = load?.context?.kvCache[kvDtype] ?? Number.NaN;
  return Math.ceil(((load?.memory[dtype] ?? Number.NaN) + cache) / 0.9);
}

test("reduced arithmetic that has nothing to round to is told", () => {
  let stderr = "";
  const io = {
    stdout: { write: () => {} },
    stderr: { write: (text: string) => (stderr += text) },
    signal: new AbortController().signal,
  };
  sayIdleArithmetic({ dtype: "f16", arithmetic: "reduced" }, io);
  sayIdleArithmetic({ dtype: "f32", arithmetic: "f32" }, io);
  expect(stderr).toBe("");
  sayIdleArithmetic({ dtype: "f32", arithmetic: "reduced" }, io);
  expect(stderr).toContain("--arithmetic reduced changes nothing: the weights are f32");
});

describe("without --dtype", () => {
  test("f32 is taken where it fits, and nothing is said", async () => {
    const full = { dtype: "f32", kvDtype: "f32", stderr: "" };
    expect(await settle(Number.POSITIVE_INFINITY)).toEqual(full);
    expect(await settle(await least("f32", "f32"))).toEqual(full);
  });

  test.each([
    ["f32", "f32", "f16", "f32", "f16"],
    ["f16", "f32", "q8", "f16", "q8"],
    ["q8", "f16", "q8", "q8", "q8 with keys and values in q8"],
    ["q8", "q8", "q4", "f16", "q4"],
    ["q4", "f16", "q4", "q8", "q4 with keys and values in q8"],
  ] as const)(
    "a byte too few for %s with a cache of %s gives %s with one of %s, and a line says why",
    async (larger, largerKv, dtype, kvDtype, named) => {
      const { stderr, ...chosen } = await settle((await least(larger, largerKv)) - 2);
      expect(chosen).toEqual({ dtype, kvDtype });
      expect(stderr).toMatch(
        new RegExp(`^mask-llava: the weights are loaded as ${named}: .* in ${larger}.*--kv-dtype.*\n$`),
      );
    },
  );

  test("a given type of keys and values is counted, and kept", async () => {
    const { dtype, kvDtype } = await settle(await least("f32", "q8"), undefined, undefined, folder, "q8");
    expect({ dtype, kvDtype }).toEqual({ dtype: "f32", kvDtype: "q8" });
    const less = await settle((await least("q8", "f32")) - 2, undefined, undefined, folder, "f32");
    expect(less).toMatchObject({ dtype: "q4", kvDtype: "f32" });
  });

  test("the smallest is left to fail where nothing fits", async () => {
    expect((await settle(1)).dtype).toBe("q4");
    expect((await settle(1, undefined, floatDTypes)).dtype).toBe("f16");
  });
});

test("a given type is taken whatever fits", async () => {
  const unsaid = { kvDtype: undefined, stderr: "" };
  expect(await settle(1, "f32")).toEqual({ ...unsaid, dtype: "f32" });
  expect(await settle(1e12, "q4")).toEqual({ ...unsaid, dtype: "q4" });
});

describe("of weights that were quantised before", () => {
  const planes = smallLlama({ planes: true });

  test("they are taken as they are, which needs no word", async () => {
    expect(await settle(Number.POSITIVE_INFINITY, undefined, undefined, planes)).toEqual({
      dtype: "stored",
      kvDtype: "f16",
      stderr: "",
    });
  });

  test("what does not fit is tried only as what the planes can become", async () => {
    const { load } = await inspectCheckpoint(planes);
    expect(Object.keys(load?.memory ?? {}).sort()).toEqual(["q8", "stored"]);
    expect((await settle(1, undefined, undefined, planes)).dtype).toBe("q8");
  });
});
