import { describe, expect, test } from "vitest";
import { CheckpointError, ConfigError } from "./errors.ts";
import { MemoryFolder } from "./folder.ts";
import { rename, TensorIndex } from "./tensor-index.ts";
import { type HostTensorData, writeSafetensors } from "./write-safetensors.ts";

const tensor = (n: number): HostTensorData => ({ shape: [n], data: new Float32Array(n).fill(n) });
const text = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

const shards = {
  "model-1.safetensors": writeSafetensors({ "a.w": tensor(2), "a.b": tensor(3) }, { format: "pt" }),
  "model-2.safetensors": writeSafetensors({ "b.w": tensor(4) }),
};
const map = { "a.w": "model-1.safetensors", "a.b": "model-1.safetensors", "b.w": "model-2.safetensors" };
const sharded = (index: unknown, files: Record<string, Uint8Array> = shards) =>
  new MemoryFolder({ ...files, "model.safetensors.index.json": text(index) }, "folder");

describe("TensorIndex", () => {
  test("reads shards and keeps their stored names under canonical ones", async () => {
    const index = await TensorIndex.open(sharded({ metadata: { total_size: 36 }, weight_map: map }), {
      rename: [{ from: "a.", to: "alpha." }],
    });
    expect([...index.tensors.keys()].sort()).toEqual(["alpha.b", "alpha.w", "b.w"]);
    expect(index.tensors.get("alpha.w")).toMatchObject({ name: "a.w", shape: [2], dtype: "F32" });
    expect(index.metadata).toEqual({ format: "pt" });
  });

  test("prefers the single file, and takes another stem", async () => {
    const folder = new MemoryFolder({
      "model.safetensors": writeSafetensors({ one: tensor(1) }),
      "model.safetensors.index.json": text({}),
      "projector.safetensors": writeSafetensors({ two: tensor(2) }),
    });
    expect([...(await TensorIndex.open(folder)).tensors.keys()]).toEqual(["one"]);
    expect([...(await TensorIndex.open(folder, { stem: "projector" })).tensors.keys()]).toEqual(["two"]);
  });

  const bad: [string, MemoryFolder, RegExp][] = [
    [
      "no weights at all",
      new MemoryFolder({ "pytorch_model.bin": text("x") }, "folder"),
      /no weights in safetensors/,
    ],
    ["weight_map missing", sharded({ metadata: {} }), /weight_map is not an object.*found nothing/],
    ["weight_map a list", sharded({ weight_map: [] }), /weight_map is not an object/],
    ["index null", sharded(null), /weight_map is not an object/],
    ["index is not JSON", sharded("{"), /not valid JSON/],
    ["tensor listed twice", sharded('{"weight_map":{"a.w":"x","a.w":"y"}}'), /occurs twice/],
    ["shard is a number", sharded({ weight_map: { ...map, "a.w": 1 } }), /"a\.w".*not a file name/],
    [
      "shard above the folder",
      sharded({ weight_map: { ...map, "a.w": "../model-1.safetensors" } }),
      /stay within/,
    ],
    ["shard with a hidden climb", sharded({ weight_map: { ...map, "a.w": "x/../../y" } }), /stay within/],
    ["absolute shard", sharded({ weight_map: { ...map, "a.w": "/etc/passwd" } }), /stay within/],
    ["shard by URL", sharded({ weight_map: { ...map, "a.w": "https://example.org/x" } }), /stay within/],
    ["shard with backslashes", sharded({ weight_map: { ...map, "a.w": "..\\x" } }), /stay within/],
    [
      "shard absent",
      sharded({ weight_map: { ...map, "c.w": "model-3.safetensors" } }),
      /model-3.*shard is missing/,
    ],
    [
      "tensor absent from its shard",
      sharded({ weight_map: { ...map, "b.x": "model-2.safetensors" } }),
      /"b\.x": is not in/,
    ],
    [
      "tensor unlisted",
      sharded({ weight_map: { "a.w": map["a.w"], "b.w": map["b.w"] } }),
      /"a\.b".*no such tensor/,
    ],
    [
      "tensor in two shards",
      sharded(
        { weight_map: map },
        { ...shards, "model-2.safetensors": writeSafetensors({ "b.w": tensor(4), "a.w": tensor(2) }) },
      ),
      /"a\.w": is not where.*found model-2\.safetensors, expected model-1\.safetensors/,
    ],
    [
      "shard malformed",
      sharded({ weight_map: map }, { ...shards, "model-2.safetensors": new Uint8Array(3) }),
      /model-2.*too short/,
    ],
  ];
  test.each(bad)("rejects: %s", async (_, folder, message) => {
    const error = await TensorIndex.open(folder).catch((e: unknown) => e);
    expect(error instanceof CheckpointError || error instanceof ConfigError).toBe(true);
    expect((error as Error).message).toMatch(message);
  });

  test("rejects two stored names for one canonical name", async () => {
    const folder = new MemoryFolder({
      "model.safetensors": writeSafetensors({ "m.x": tensor(1), "model.x": tensor(1) }),
    });
    await expect(TensorIndex.open(folder, { rename: [{ from: /^m\./, to: "model." }] })).rejects.toThrow(
      /stands for "model\.x", and so does/,
    );
  });

  test("closes every file that it opened when it fails", async () => {
    const folder = sharded({ weight_map: { ...map, "b.x": "model-2.safetensors" } });
    let openFiles = 0;
    const counting = {
      name: "counting",
      open: async (name: string) => {
        const source = await folder.open(name);
        if (!source) return undefined;
        openFiles++;
        return Object.assign(source, { close: async () => void openFiles-- });
      },
    };
    await expect(TensorIndex.open(counting)).rejects.toThrow(CheckpointError);
    expect(openFiles).toBe(0);
  });
});

test("rules apply in order, prefixes at the start only, groups by number", () => {
  const rules = [
    { from: "language_model.model.", to: "model.language_model." },
    { from: /^(model\.language_model)\.layers\.(\d+)\.mlp/, to: "$1.layer$2.ffn" },
  ];
  expect(rename("language_model.model.layers.12.mlp.up", rules)).toBe("model.language_model.layer12.ffn.up");
  expect(rename("x.language_model.model.y", rules)).toBe("x.language_model.model.y");
});
