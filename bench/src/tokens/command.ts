import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { floatDType, type KvDType, kvDTypes, type WeightDType, weightDTypes } from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { openNodeDevice } from "@mask-llava/runtime/node";
import { Command, InvalidArgumentError, Option } from "commander";
import { conditionsOf } from "../common/conditions.ts";
import {
  type ArithmeticFlag,
  arithmeticOption,
  type CommonFlags,
  checkOutputs,
  nonEmpty,
  withOutputFlags,
  writeOutputs,
} from "../common/flags.ts";
import { checkpointSubject } from "./checkpoint.ts";
import { measureTokens } from "./measure.ts";
import { chartOf, csvOf, formatReport, type TokenReport } from "./report.ts";
import { compositions, type Subject } from "./subject.ts";
import { syntheticSubject } from "./synthetic.ts";
import { type SyntheticName, syntheticNames } from "./synthetic-shapes.ts";

interface Flags extends CommonFlags, ArithmeticFlag {
  readonly model?: string;
  readonly picture?: string;
  readonly synthetic?: SyntheticName;
  readonly tokens: readonly number[];
  readonly text: number;
  readonly answer?: number;
  readonly rounds?: number;
  readonly dtype?: WeightDType;
  readonly kvDtype?: KvDType;
}

const examples = `
Examples:
  $ npm run bench -- tokens                              the checkpoint that comes with the program
  $ npm run bench -- tokens --model my-mask-llava --picture cat.jpg --plot tokens.svg --plot tokens.png
  $ npm run bench -- tokens --synthetic 7b --dtype q4 --json tokens-7b.json
  $ npm run bench -- tokens --synthetic tiny --filter mask --tokens 8,64,576

"Mask-LLaVA" composes [CLS], pooled patches and objects; "LLaVA" takes patch tokens alone, pooled where they are fewer than
the picture has. Numbers beyond what a composition can have are left out of it. Times count from the picture's features on.`;

/** Beside this program, in a checkout and in an installation alike. */
const embedded = fileURLToPath(new URL("../../../packages/cli/checkpoint", import.meta.url));
const examplePicture = fileURLToPath(
  new URL("../../../packages/cli/assets/examples/scene-1.jpg", import.meta.url),
);

function count(value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < 1)
    throw new InvalidArgumentError("Expected a whole number of at least 1.");
  return number;
}

function counts(value: string): readonly number[] {
  return [...new Set(value.split(",").map((part) => count(part.trim())))].sort((a, b) => a - b);
}

function atLeastTwo(value: string): number {
  const number = count(value);
  if (number < 2) throw new InvalidArgumentError("Expected at least 2.");
  return number;
}

export function tokensCommand(): Command {
  const command = new Command("tokens").description(
    "Measure what visual tokens cost: time to the first token, speed, and the cost of each by least squares.",
  );
  return withOutputFlags(command)
    .option("--filter <text>", `only compositions whose name contains this: ${compositions.join(", ")}`, "")
    .option(
      "--model <dir>",
      "a Mask-LLaVA checkpoint (default: the one that comes with the program)",
      nonEmpty,
    )
    .option("--picture <file>", "what the checkpoint is asked about (default: an example)", nonEmpty)
    .addOption(
      new Option("--synthetic <shape>", "random weights of a decoder's shape, made on the GPU")
        .choices(syntheticNames)
        .conflicts(["model", "picture"]),
    )
    .option("--tokens <list>", "numbers of visual tokens", counts, [8, 16, 32, 64, 96, 144, 288, 576])
    .option("--text <n>", "tokens of text in a synthetic prompt", count, 40)
    .option(
      "--answer <n>",
      "tokens of each answer (default: 8 on a software adapter, 64 otherwise)",
      atLeastTwo,
    )
    .option(
      "--rounds <n>",
      "how often each is measured (default: 3 on a software adapter, 10 otherwise)",
      atLeastTwo,
    )
    .addOption(new Option("--dtype <dtype>", "of weights (default: f16)").choices(weightDTypes))
    .addOption(
      new Option("--kv-dtype <dtype>", "of keys and values (default: f32 beside f32, else f16)").choices(
        kvDTypes,
      ),
    )
    .addOption(arithmeticOption())
    .addHelpText("after", examples)
    .action((flags: Flags) => measure(flags, command));
}

async function measure(flags: Flags, command: Command): Promise<void> {
  const chosen = compositions.filter((name) => name.toLowerCase().includes(flags.filter.toLowerCase()));
  if (chosen.length === 0)
    command.error(
      `error: --filter ${JSON.stringify(flags.filter)}: neither of ${compositions.join(", ")} contains that`,
    );
  if (!flags.synthetic && !flags.model && !existsSync(embedded))
    command.error("error: there is no embedded checkpoint here: give --model or --synthetic");
  await checkOutputs(flags);
  const begun = performance.now();
  using device = await openNodeDevice({ adapter: flags.adapter });
  device.arithmetic = flags.arithmetic;
  const { software } = device.info;
  const conditions = await conditionsOf(device, flags.note);
  using subject = await open(device, flags);
  const plan = {
    counts: flags.tokens,
    compositions: chosen,
    newTokens: flags.answer ?? (software ? 8 : 64),
    rounds: flags.rounds ?? (software ? 3 : 10),
  };
  if (!chosen.some((name) => plan.counts.some((n) => n <= subject.most(name)))) {
    const most = chosen.map((name) => `${name} ${subject.most(name)}`).join(", ");
    command.error(`error: --tokens ${plan.counts}: this model has at most: ${most}`);
  }
  const results = await measureTokens(subject, plan, (round) => {
    process.stderr.write(round === 0 ? "warmed up\n" : `round ${round} of ${plan.rounds}\n`);
  });
  const { name, dtype, kvDtype, weightBytes, textTokens, kvBytesPerToken, imageWork } = subject;
  const longest = Math.max(...results.rows.map((row) => row.promptTokens));
  const report: TokenReport = {
    benchmark: "tokens",
    subject: { name, dtype, kvDtype, weightBytes, textTokens, kvBytesPerToken, imageWork },
    plan,
    arithmetic: flags.arithmetic,
    conditions,
    ...results,
    peakGpu: device.memory().peak,
    predictedGpu: subject.predictBytes?.(longest, plan.newTokens),
    peakHost: process.resourceUsage().maxRSS * 1024,
    seconds: (performance.now() - begun) / 1e3,
  };
  await writeOutputs(flags, { report, csv: () => csvOf(report), chart: () => chartOf(report) });
  process.stdout.write(`${formatReport(report)}\n`);
}

function open(device: Device, flags: Flags): Promise<Subject> {
  const { synthetic, model = embedded, picture = examplePicture, text: textTokens, dtype = "f16" } = flags;
  const dtypes = { dtype, kvDtype: flags.kvDtype ?? floatDType(dtype) };
  if (synthetic) return syntheticSubject(device, synthetic, { ...dtypes, textTokens });
  const name = model === embedded ? "embedded checkpoint" : model;
  return checkpointSubject(device, model, { ...dtypes, name, picture });
}
