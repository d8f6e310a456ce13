import type { Device } from "@mask-llava/runtime";
import type { Io } from "../io.ts";
import { findMaskLlavaFolder, openModelFolder, requireMaskLlavaFolder } from "../model-folder.ts";
import {
  type Configuration,
  compareConfiguration,
  llavaConfiguration,
  maskLlavaConfigurations,
} from "./configurations.ts";
import type { EvalSet } from "./dataset.ts";
import type { Row } from "./evaluate.ts";
import { fingerprint, folderFingerprint } from "./fingerprint.ts";
import { type EvalFlags, refuseMaskLlavaFlags } from "./flags.ts";
import { llavaRespondent, maskLlavaRespondent, type Respondent } from "./respondents.ts";

/** What the checkpoint that comes with the program is told of as. */
const embeddedName = "embedded";

/** A checkpoint to load, and what to ask it with. */
export interface Planned {
  /** The checkpoint's folder, as it is told of. */
  readonly model: string;
  readonly folder: string;
  readonly configurations: readonly Configuration[];
  readonly load: (device: Device) => Promise<Respondent>;
}

/** The checkpoints that the flags name, `--model` first. Nothing is loaded yet. */
export async function planRun(flags: EvalFlags, io: Io): Promise<Planned[]> {
  const { compare = [], baseline } = flags;
  const planned = [await planModel(flags, io)];
  for (const { name, folder: model } of compare) {
    const folder = await requireMaskLlavaFolder(model);
    const configurations = [compareConfiguration(name)];
    planned.push({
      model,
      folder: model,
      configurations,
      load: (device) => maskLlavaRespondent(device, folder, configurations, flags, io),
    });
  }
  if (baseline !== undefined) {
    const { folder } = await openModelFolder(baseline, ["llava"]);
    const configuration = llavaConfiguration("baseline");
    planned.push({
      model: baseline,
      folder: baseline,
      configurations: [configuration],
      load: (device) => llavaRespondent(device, folder, configuration, flags, io),
    });
  }
  return planned;
}

async function planModel(flags: EvalFlags, io: Io): Promise<Planned> {
  const maskLlava = await findMaskLlavaFolder(flags.model);
  if (maskLlava) {
    const configurations = maskLlavaConfigurations(flags);
    return {
      model: flags.model ?? embeddedName,
      folder: maskLlava.name,
      configurations,
      load: (device) => maskLlavaRespondent(device, maskLlava, configurations, flags, io),
    };
  }
  const { folder } = await openModelFolder(flags.model, ["llava"]);
  refuseMaskLlavaFlags(flags);
  const configuration = llavaConfiguration("main");
  return {
    model: folder.name,
    folder: folder.name,
    configurations: [configuration],
    load: (device) => llavaRespondent(device, folder, configuration, flags, io),
  };
}

/**
 * Rows of the table, each with what names it in the file of answers: content of checkpoints is read only where there is one.
 * @param sets the data set, and that of probes
 */
export async function rowsOf(
  planned: readonly Planned[],
  [dataset, probeSet]: readonly [EvalSet, EvalSet | undefined],
  flags: EvalFlags,
  signal: AbortSignal,
): Promise<Row[]> {
  const { suffix = "", maxNewTokens = null, dtype, kvDtype, arithmetic, answers } = flags;
  const rounded = arithmetic === "reduced"; // else as the files of answers say that were begun before there was a choice
  const probe = probeSet?.fingerprint ?? null;
  const rows: Row[] = [];
  for (const { model, folder, configurations } of planned) {
    const checkpoint = answers === undefined ? "" : await folderFingerprint(folder, signal);
    for (const configuration of configurations) {
      const { name, role, tokens, dropPolicy, compose } = configuration;
      const said = {
        role,
        compose,
        suffix,
        maxNewTokens,
        dtype,
        kvDtype,
        probe,
        ...(rounded && { arithmetic }),
      };
      const settings = fingerprint(JSON.stringify(said));
      const mark = {
        dataset: dataset.fingerprint,
        checkpoint,
        configuration: name,
        tokens,
        drop_policy: dropPolicy,
        settings,
      };
      rows.push({ configuration, model, mark });
    }
  }
  return rows;
}
