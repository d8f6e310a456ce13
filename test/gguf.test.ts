import { readdirSync } from "node:fs";
import { GGMLQuantizationType, type GGUFParseOutput, gguf } from "@huggingface/gguf";
import {
  ChatTemplate,
  GgufFolder,
  InlineTemplateRenderer,
  llamaConfigSchema,
  llavaConfigSchema,
  loadGenerationSettings,
  readGguf,
  readJson,
  Tokenizer,
} from "@mask-llava/models";
import { FileFolder } from "@mask-llava/models/node";
import { describe, expect, test } from "vitest";
import { Fixture, fixturePath } from "./support/fixtures.ts";

const converted = await FileFolder.open(fixturePath("gguf-converted"));

function open(file: string, mmproj?: string): Promise<GgufFolder> {
  return GgufFolder.open(
    { folder: converted, file },
    { mmproj: mmproj ? { folder: converted, file: mmproj } : undefined },
  );
}

/** A bigint as a number, a typed array as a list: what the peer's reader gives where values agree. */
const plain = (value: unknown): unknown =>
  ArrayBuffer.isView(value) ? Array.from(value as unknown as Iterable<unknown>) : value;

const files = ["gguf-converted", "gguf-blocks", "gguf-super-blocks"].flatMap((name) =>
  readdirSync(fixturePath(name))
    .filter((file) => file.endsWith(".gguf"))
    .map((file) => [`${name}/${file}`, fixturePath(name), file] as const),
);

test.each(files)("%s: the header as Hugging Face's reader has it", async (_, folder, file) => {
  const source = await (await FileFolder.open(folder)).open(file);
  if (!source) throw new Error(file);
  const ours = await readGguf(source);
  const theirs = (await gguf(`${folder}/${file}`, { allowLocalFile: true })) as GGUFParseOutput<{
    strict: false;
  }>;
  const { version, tensor_count, kv_count, ...values } = theirs.metadata;
  expect(Object.fromEntries([...ours.metadata].map(([key, value]) => [key, plain(value)]))).toEqual(values);
  expect(ours.tensors.map(({ name, type, shape, begin }) => ({ name, type, shape, begin }))).toEqual(
    theirs.tensorInfos.map(({ name, dtype, shape, offset }) => ({
      name,
      type: GGMLQuantizationType[dtype],
      shape: shape.map(Number).reverse(),
      begin: Number(theirs.tensorDataOffset + offset),
    })),
  );
  await source.close();
});

const llamas = [
  ["llama-gqa.gguf", "llama-gqa"],
  ["llama-tied-llama3.gguf", "llama-tied-llama3"],
  ["llama-f16-00001-of-00003.gguf", "llama-f16"],
] as const;

describe.each(llamas)("%s says what its checkpoint said", (file, name) => {
  test("configuration", async () => {
    const fixture = await Fixture.open(name);
    const of = async (folder: Parameters<typeof readJson>[0]) =>
      llamaConfigSchema.parse(await readJson(folder, "config.json"));
    const { rope, rms_norm_eps, ...expected } = await of(fixture.folder);
    const { rope: ownRope, rms_norm_eps: eps, ...config } = await of(await open(file));
    const ids = { bos_token_id: expect.anything(), eos_token_id: expect.anything() };
    expect(config).toMatchObject({ ...expected, ...ids });
    expect(eps).toBe(Math.fround(rms_norm_eps));
    expect(ownRope.rope_theta).toBe(rope.rope_theta);
    expect(ownRope.rope_type).toBe(rope.rope_type === "llama3" ? "freq_factors" : rope.rope_type);
  });

  test("tokenizer: ids and texts", async () => {
    const fixture = await Fixture.open(name);
    const tokenizer = await Tokenizer.load(await open(file));
    expect(tokenizer.encode(fixture.json.prompt)).toEqual(fixture.ids("input_ids"));
    const { encode = [], decode = [] } = fixture.json.tokenizer ?? {};
    for (const { text, add_special_tokens: addSpecialTokens, ids } of encode) {
      expect(tokenizer.encode(text, { addSpecialTokens }), JSON.stringify(text)).toEqual(ids);
    }
    for (const { ids, skip_special_tokens: skipSpecialTokens, text } of decode) {
      expect(tokenizer.decode(ids, { skipSpecialTokens }), JSON.stringify(ids)).toBe(text);
    }
  });

  test("chat template and what ends a text", async () => {
    const fixture = await Fixture.open(name);
    const folder = await open(file);
    const tokenizer = await Tokenizer.load(folder);
    const renderer = new InlineTemplateRenderer();
    const template = await ChatTemplate.load(folder, tokenizer.specialTokens, renderer);
    for (const { messages, add_generation_prompt: addGenerationPrompt, text, ids } of fixture.json.chat) {
      if (text === undefined) continue;
      const prompt = await template?.render(messages, { addGenerationPrompt });
      expect(prompt).toBe(text);
      expect(tokenizer.encodePrompt(text)).toEqual(ids);
    }
    const [own, expected] = await Promise.all([
      loadGenerationSettings(folder),
      loadGenerationSettings(fixture.folder),
    ]);
    expect(own.eosTokenIds).toEqual(expected.eosTokenIds);
    expect(own.bosTokenId).toBe(expected.bosTokenId);
  });
});

test("a LLaVA of two files says what its checkpoint said", async () => {
  const fixture = await Fixture.open("llava-older");
  const expected = llavaConfigSchema.parse(await readJson(fixture.folder, "config.json"));
  const folder = await open("llava-older.gguf", "mmproj-llava-older.gguf");
  const config = llavaConfigSchema.parse(await readJson(folder, "config.json"));
  const { imageTokenId, featureLayers, image_aspect_ratio, projector_hidden_act } = expected;
  expect(config).toMatchObject({ imageTokenId, featureLayers, image_aspect_ratio, projector_hidden_act });
  // the blocks behind the feature layer are not in the file
  expect(config.vision_config.num_hidden_layers).toBe(featureLayers[0]);
  const { hidden_act, image_size, patch_size, num_attention_heads, intermediate_size } =
    expected.vision_config;
  expect(config.vision_config).toMatchObject({
    hidden_act,
    image_size,
    patch_size,
    num_attention_heads,
    intermediate_size,
  });
});

describe("parts of a split file", () => {
  test("any of them names them all", async () => {
    const first = await open("llama-f16-00001-of-00003.gguf");
    const third = await open("llama-f16-00003-of-00003.gguf");
    expect(await readJson(third, "config.json")).toEqual(await readJson(first, "config.json"));
    const { tensors, sources } = await third.tensors();
    expect(sources.length).toBe(3);
    expect(tensors.get("model.norm.weight")).toMatchObject({ name: "output_norm.weight", dtype: "F32" });
    await Promise.all(sources.map((s) => s.close?.()));
  });
});
