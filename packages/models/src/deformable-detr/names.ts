import type { RenameRule } from "../checkpoint/index.ts";

const backbone = "model.backbone.model.";

/** timm's ResNet names below the backbone -> Hugging Face's. Stages and convolutions count from 1 in timm, from 0 there. */
function timmRules(): RenameRule[] {
  const at = (pattern: string) => new RegExp(`^model\\.backbone\\.model\\.${pattern}`);
  const digits = Array.from({ length: 9 }, (_, i) => i);
  return [
    { from: at("conv1\\."), to: `${backbone}embedder.embedder.convolution.` },
    { from: at("bn1\\."), to: `${backbone}embedder.embedder.normalization.` },
    { from: at("(layer\\d\\.\\d+\\.)downsample\\.0\\."), to: `${backbone}$1shortcut.convolution.` },
    { from: at("(layer\\d\\.\\d+\\.)downsample\\.1\\."), to: `${backbone}$1shortcut.normalization.` },
    ...digits.flatMap((i) => [
      { from: at(`(layer\\d\\.\\d+\\.)conv${i + 1}\\.`), to: `${backbone}$1layer.${i}.convolution.` },
      { from: at(`(layer\\d\\.\\d+\\.)bn${i + 1}\\.`), to: `${backbone}$1layer.${i}.normalization.` },
    ]),
    ...digits.map((i) => ({ from: at(`layer${i + 1}\\.`), to: `${backbone}encoder.stages.${i}.layers.` })),
  ];
}

/**
 * Deformable DETR's names changed with transformers' releases and with the library of its backbone; all are read as the
 * modules of transformers 5 are called: `model.backbone.model.encoder.stages…`, `self_attn.o_proj`, `mlp.fc1`.
 */
export const deformableDetrNames: readonly RenameRule[] = [
  { from: "model.backbone.conv_encoder.model.", to: backbone },
  // transformers wraps timm's network once more where it goes through its own class for it
  { from: `${backbone}_backbone.`, to: backbone },
  ...timmRules(),
  { from: /\.self_attn\.out_proj\./, to: ".self_attn.o_proj." },
  { from: /(\.layers\.\d+)\.(?=fc[12]\.)/, to: "$1.mlp." },
];

/** Counters of training's batch norms, which nobody needs. */
export const deformableDetrIgnored = [/\.num_batches_tracked$/];
