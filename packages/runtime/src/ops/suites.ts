import type { OpSuite } from "../op-case.ts";
import { activationDerivativeSuite } from "./activation-derivative/cases.ts";
import { adaptiveAvgPool2dSuite } from "./adaptive-avg-pool2d/cases.ts";
import { advanceSuite } from "./advance/cases.ts";
import { argmaxSuite } from "./argmax/cases.ts";
import { attentionSuite } from "./attention/cases.ts";
import { binarySuite } from "./binary/cases.ts";
import { castSuite } from "./cast/cases.ts";
import { concatSuite } from "./concat/cases.ts";
import { convTranspose2dSuite } from "./conv-transpose2d/cases.ts";
import { conv2dSuite } from "./conv2d/cases.ts";
import { copyIntoSuite } from "./copy-into/cases.ts";
import { deformableAttentionSuite } from "./deformable-attention/cases.ts";
import { dequantizeSuite } from "./dequantize/cases.ts";
import { embeddingSuite } from "./embedding/cases.ts";
import { embeddingAdamwSuite } from "./embedding-adamw/cases.ts";
import { gatherRowsSuite } from "./gather-rows/cases.ts";
import { groupNormSuite } from "./group-norm/cases.ts";
import { layerNormSuite } from "./layer-norm/cases.ts";
import { layerNormVjpSuite } from "./layer-norm-vjp/cases.ts";
import { layerNorm2dSuite } from "./layer-norm2d/cases.ts";
import { legradMapSuite } from "./legrad-map/cases.ts";
import { mapDiceSuite } from "./map-dice/cases.ts";
import { maskPoolSuite } from "./mask-pool/cases.ts";
import { matmulSuite } from "./matmul/cases.ts";
import { maxPool2dSuite } from "./max-pool2d/cases.ts";
import { padSuite } from "./pad/cases.ts";
import { pairwiseProductSuite } from "./pairwise-product/cases.ts";
import { permuteSuite } from "./permute/cases.ts";
import { quantizeSuite } from "./quantize/cases.ts";
import { randomUniformSuite } from "./random-uniform/cases.ts";
import { reduceSuite } from "./reduce/cases.ts";
import { resize2dSuite } from "./resize2d/cases.ts";
import { rmsNormSuite } from "./rms-norm/cases.ts";
import { roiAlignSuite } from "./roi-align/cases.ts";
import { ropeAppendSuite, ropeSuite } from "./rope/cases.ts";
import { sampleSuite } from "./sample/cases.ts";
import { signWeightedValueSuite } from "./sign-weighted-value/cases.ts";
import { siluMulSuite } from "./silu-mul/cases.ts";
import { sliceSuite } from "./slice/cases.ts";
import { softmaxSuite } from "./softmax/cases.ts";
import { standardizeSuite } from "./standardize/cases.ts";
import { tokenDotsSuite } from "./token-dots/cases.ts";
import { tokenTermsSuite } from "./token-terms/cases.ts";
import { topKSuite } from "./top-k/cases.ts";
import { unarySuite } from "./unary/cases.ts";
import { unpackBlocksSuite } from "./unpack-blocks/cases.ts";
import { weightedMeanSuite } from "./weighted-mean/cases.ts";

/** Every op with its cases: read by the conformance test and by the benchmark. */
export const suites: readonly OpSuite[] = [
  maskPoolSuite,
  roiAlignSuite,
  deformableAttentionSuite,
  resize2dSuite,
  adaptiveAvgPool2dSuite,
  maxPool2dSuite,
  convTranspose2dSuite,
  conv2dSuite,
  attentionSuite,
  binarySuite,
  embeddingSuite,
  layerNormSuite,
  matmulSuite,
  rmsNormSuite,
  unarySuite,
  randomUniformSuite,
  ropeSuite,
  ropeAppendSuite,
  softmaxSuite,
  permuteSuite,
  sliceSuite,
  concatSuite,
  padSuite,
  gatherRowsSuite,
  sampleSuite,
  advanceSuite,
  siluMulSuite,
  layerNorm2dSuite,
  groupNormSuite,
  castSuite,
  argmaxSuite,
  reduceSuite,
  topKSuite,
  activationDerivativeSuite,
  copyIntoSuite,
  embeddingAdamwSuite,
  layerNormVjpSuite,
  legradMapSuite,
  mapDiceSuite,
  pairwiseProductSuite,
  signWeightedValueSuite,
  standardizeSuite,
  weightedMeanSuite,
  tokenTermsSuite,
  tokenDotsSuite,
  unpackBlocksSuite,
  quantizeSuite,
  dequantizeSuite,
];
