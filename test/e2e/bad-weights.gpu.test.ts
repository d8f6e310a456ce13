import { type Change, entry, gone, header, json, notANumber, safetensors, set } from "./broken.ts";
import { broken, describeFailures, type Row, type Says } from "./failures.ts";
import { sharedDeviceCli } from "./support.ts";

const weights = "model.safetensors";
const norm = "model.norm.weight";
/** A row whose message names the file. */
const llama = (what: string, change: Change, says: Says) =>
  broken(what, "llama-gqa", weights, change, [weights, ...says]);
/** A row whose message names the folder, as it is about all of its files. */
const whole = (what: string, change: Change, says: Says) => broken(what, "llama-gqa", weights, change, says);
/** A row with a weight that is not a number, whose message says what came of it. */
const clip = (what: string, name: string, says: Says) =>
  broken(what, "clip-quick-gelu", weights, notANumber(name), ["NaN or infinity", "found NaN at", ...says]);
const safetensorsRows: readonly Row[] = [
  llama("no weights at all", gone, ["holds no weights", "model.safetensors.index.json"]),
  llama("empty weights", () => "", ["too short", "found 0 bytes"]),
  llama("weights cut short", (b) => b.subarray(0, b.length - 1000), ["truncated", "found", "expected"]),
  llama("weights cut in the header", (b) => b.subarray(0, 100), ["header", "found"]),
  llama("weights with bytes behind them", (b) => Buffer.concat([b, Buffer.alloc(3)]), [
    "bytes follow the last tensor",
    "found",
  ]),
  llama(
    "a header of incredible length",
    (b) => {
      const copy = Buffer.from(b);
      copy.writeBigUInt64LE(2n ** 63n, 0);
      return copy;
    },
    ["header length is not credible", "9223372036854775808"],
  ),
  llama(
    "a header that claims more than the file has",
    (b) => {
      const copy = Buffer.from(b);
      copy.writeBigUInt64LE(BigInt(b.length), 0);
      return copy;
    },
    ["header runs past the end"],
  ),
  llama("a header that is not JSON", () => safetensors("{tensors}", Buffer.alloc(8)), ["not valid JSON"]),
  llama("a header that is not an object", () => safetensors("[1, 2]", Buffer.alloc(8)), [
    "not a JSON object",
  ]),
  llama("two tensors of one name", () => {
    const one = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
    return safetensors(`{${one},${one}}`, Buffer.alloc(4));
  }, ['"a"', "in the header"]),
  llama(
    "tensors that overlap",
    header((entries) => {
      const { data_offsets: at } = entry(entries, norm);
      entry(entries, norm).data_offsets = [at[0] - 8, at[1] - 8];
      return undefined;
    }),
    [norm, "overlaps", "found", "expected"],
  ),
  llama(
    "a hole between tensors",
    header((entries, data) => {
      const { data_offsets: at } = entry(entries, norm);
      const hole = Buffer.alloc(8);
      for (const { data_offsets } of Object.values(entries)) {
        if (data_offsets && data_offsets[0] >= at[0]) {
          data_offsets[0] += 8;
          data_offsets[1] += 8;
        }
      }
      return Buffer.concat([data.subarray(0, at[0] - 8), hole, data.subarray(at[0] - 8)]);
    }),
    ["hole", "found", "expected"],
  ),
  llama(
    "offsets that run backwards",
    header((entries) => {
      entry(entries, norm).data_offsets.reverse();
      return undefined;
    }),
    [norm, "data_offsets"],
  ),
  llama(
    "a shape that lies about the bytes",
    header((entries) => {
      entry(entries, norm).shape = [37];
      return undefined;
    }),
    [norm, "found", "expected"],
  ),
  llama(
    "a shape below zero",
    header((entries) => {
      entry(entries, norm).shape = [-36];
      return undefined;
    }),
    [norm, "-36"],
  ),
  llama(
    "a dtype that there is not",
    header((entries) => {
      entry(entries, norm).dtype = "F33";
      return undefined;
    }),
    [norm, "F33"],
  ),
  llama(
    "a dtype that is no weight's",
    header((entries) => {
      entry(entries, norm).dtype = "I32";
      return undefined;
    }),
    [norm, "cannot be loaded as f32", "found I32"],
  ),
  whole(
    "a missing tensor",
    header((entries) => {
      entries["model.norm.bias"] = entry(entries, norm);
      delete entries[norm];
      return undefined;
    }),
    ["/model: tensor", norm, "is missing", "expected [36]"],
  ),
  whole(
    "a tensor too many",
    header((entries, data) => {
      entries["model.extra.weight"] = {
        dtype: "F32",
        shape: [1],
        data_offsets: [data.length, data.length + 4],
      };
      return Buffer.concat([data, Buffer.alloc(4)]);
    }),
    ["/model: ", "model.extra.weight", "the network does not have"],
  ),
  llama(
    "a tensor of another shape",
    header((entries) => {
      entry(entries, norm).shape = [6, 6];
      return undefined;
    }),
    [norm, "found [6, 6]", "expected [36]"],
  ),
  whole("weights that are not numbers", notANumber(norm), ["logits are not finite"]),
  clip("a picture's embedding that is no numbers", "visual_projection.weight", ["embedding of the picture"]),
  clip("a vision tower that gives no numbers", "vision_model.encoder.layers.1.layer_norm1.weight", [
    "last hidden state",
  ]),
  clip("texts' embeddings that are no numbers", "text_projection.weight", ["embeddings of the texts"]),
  clip("probabilities that are no numbers", "logit_scale", ["probabilities of the texts"]),
  broken("a missing shard", "llama-tied-llama3", "model-00002-of-00003.safetensors", gone, [
    "model-00002-of-00003.safetensors",
    "shard is missing",
  ]),
  broken(
    "a shard that leads out of the folder",
    "llama-tied-llama3",
    "model.safetensors.index.json",
    set("weight_map", { "model.norm.weight": "../model.safetensors" }),
    ["model.safetensors.index.json", "../model.safetensors", "within the checkpoint folder"],
  ),
  broken(
    "an index that lists a tensor where it is not",
    "llama-tied-llama3",
    "model.safetensors.index.json",
    json((index) => {
      const map = index.weight_map as Record<string, string>;
      map["model.norm.weight"] = "model-00001-of-00003.safetensors";
    }),
    ["model.norm.weight", "model-00001-of-00003.safetensors"],
  ),
  broken(
    "an index without a map",
    "llama-tied-llama3",
    "model.safetensors.index.json",
    set("weight_map", 3),
    ["model.safetensors.index.json", "weight_map", "found 3"],
  ),
];

describeFailures("bad weights", safetensorsRows, sharedDeviceCli());
