import { brokenModel, type Change, gone, set } from "./broken.ts";
import { broken, command, describeFailures, picture, type Row, type Says } from "./failures.ts";
import { fixture, onAdapter, sharedDeviceCli } from "./support.ts";

const config = (what: string, name: string, change: Change, says: Says) =>
  broken(what, name, "config.json", change, ["config.json", ...says]);

const configRows: readonly Row[] = [
  config("no config.json", "llama-gqa", gone, ["is missing"]),
  config("a config.json that is not JSON", "llama-gqa", () => "{model_type: llama}", ["not valid JSON"]),
  config("a config.json with a name twice", "llama-gqa", () => '{"model_type":"llama","model_type":"clip"}', [
    "model_type",
  ]),
  config("a config.json that is a list", "llama-gqa", () => "[]", ["found []", "expected"]),
  config("a config.json that is not text", "llama-gqa", () => Buffer.of(0xff, 0xfe, 0x00), ["UTF-8"]),
  config("no model_type", "llama-gqa", set("model_type", undefined), ["model_type", "is missing"]),
  config("an unknown model_type", "llama-gqa", set("model_type", "mamba"), [
    "model_type",
    'found "mamba"',
    'expected "llama" or "llava"',
    "mask-llava inspect",
  ]),
  config("a width in words", "llama-gqa", set("hidden_size", "wide"), [
    "hidden_size",
    'found "wide"',
    "expected number",
  ]),
  config("a width below 0", "llama-gqa", set("hidden_size", -36), ["hidden_size", "found -36", "expected"]),
  broken("another width than the weights'", "llama-gqa", "config.json", set("hidden_size", 40), [
    "model.safetensors",
    "model.embed_tokens.weight",
    "found [471, 36]",
    "expected [471, 40]",
  ]),
  config("no layers", "llama-gqa", set("num_hidden_layers", 0), ["num_hidden_layers", "found 0"]),
  config("heads that do not divide", "llama-gqa", set("num_key_value_heads", 3), ["num_key_value_heads"]),
  config("an odd head", "llama-gqa", set("head_dim", 13), ["head_dim", "odd"]),
  config("an activation that there is not", "llama-gqa", set("hidden_act", "swooosh"), [
    "hidden_act",
    'found "swooosh"',
    '"silu"',
  ]),
  config("rotary positions of another kind", "llama-gqa", set("rope_parameters.rope_type", "yarn"), [
    "rope_type",
    "yarn",
  ]),
  config("a layer of features that there is not", "llava-default", set("vision_feature_layer", -9), [
    "vision_feature_layer",
    "found -9",
  ]),
  config("a strategy that there is not", "llava-default", set("vision_feature_select_strategy", "some"), [
    "vision_feature_select_strategy",
    'found "some"',
  ]),
  config("a patch larger than the picture", "clip-quick-gelu", set("vision_config.patch_size", 99), [
    "vision_config.patch_size",
    "found 99",
  ]),
  config("a tower's heads that do not divide", "clip-quick-gelu", set("text_config.num_attention_heads", 5), [
    "text_config.num_attention_heads",
    "found 5",
  ]),
  broken("no tokenizer", "llama-gqa", "tokenizer.json", gone, ["tokenizer.json", "is missing"]),
  broken("a tokenizer of another kind", "llama-gqa", "tokenizer.json", set("model.type", "Unigram"), [
    "tokenizer.json",
    "Unigram",
    "BPE",
  ]),
  broken("a tokenizer without a vocabulary", "llama-gqa", "tokenizer.json", set("model.vocab", ["a"]), [
    "tokenizer.json",
    "model.vocab",
  ]),
  broken("a temperature below 0", "llama-gqa", "generation_config.json", set("temperature", -1), [
    "generation_config.json",
    "temperature",
    "found -1",
  ]),
  broken("no image processor", "clip-quick-gelu", "preprocessor_config.json", gone, [
    "preprocessor_config.json",
    "is missing",
  ]),
  broken("a picture size in words", "clip-quick-gelu", "preprocessor_config.json", set("size", "big"), [
    "preprocessor_config.json",
    "size",
    "big",
  ]),
  [
    "a chat template that does not parse",
    (place) => {
      const model = brokenModel("llava-default", place.folder, {
        "chat_template.jinja": () => "{% for m in messages %}",
      });
      return ["ask", picture, "What is it?", "--model", model, ...place.out, ...onAdapter];
    },
    ["chat template"],
  ],
  [
    "a chat template that refuses the conversation",
    (place) => {
      const model = brokenModel("llava-default", place.folder, {
        "chat_template.jinja": () => "{{ raise_exception('no such conversation') }}",
      });
      return ["ask", picture, "What is it?", "--model", model, ...place.out, ...onAdapter];
    },
    ["chat template", "no such conversation"],
  ],
  [
    "an image token that the tokenizer does not have",
    (place) =>
      command(
        "llava-default",
        brokenModel("llava-default", place.folder, {
          "config.json": set("image_token_index", 3),
        }),
        place,
      ),
    ["<image>", "575", "3"],
  ],
];

/** The command of one kind of model with a model of another. */
function wrongKind(verb: readonly string[], name: string, says: Says): Row {
  return [
    `${verb[0]} with ${name}`,
    ({ out }) => [...verb, "--model", fixture(name), ...out, ...onAdapter],
    ["config.json", "model_type", ...says],
  ];
}
const kindRows: readonly Row[] = [
  wrongKind(["ask", picture, "What?"], "clip-gelu", [
    'found "clip"',
    'expected "llava"',
    "mask-llava encode",
  ]),
  wrongKind(["ask", picture, "What?"], "llama-gqa", [
    'found "llama"',
    'expected "llava"',
    "mask-llava generate",
  ]),
  wrongKind(["ask", picture, "What?"], "sam-window-pads", ['found "sam"', 'expected "llava"']),
  wrongKind(["generate", "A"], "clip-gelu", [
    'found "clip"',
    'expected "llama" or "llava"',
    "mask-llava encode",
  ]),
  wrongKind(["encode", picture], "llava-default", ['found "llava"', 'expected "clip"', "mask-llava ask"]),
];

const cli = sharedDeviceCli();
describeFailures("a bad configuration", configRows, cli);
describeFailures("the wrong kind of model", kindRows, cli);
