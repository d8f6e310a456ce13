import { type Tuned, tune } from "@mask-llava/runtime";
import { openNodeDevice, writeTuning } from "@mask-llava/runtime/node";
import { Command, Option } from "commander";
import { example } from "../embedded.ts";
import { ReportedFailure } from "../errors.ts";
import { adapterFlag, filledText, jsonFlag, memoryFlag, verboseFlag } from "../flags.ts";
import { type Io, say } from "../io.ts";
import { withProgress } from "../progress.ts";
import { Stopwatch } from "../stopwatch.ts";

interface TuneFlags {
  readonly adapter: string;
  readonly memory?: number;
  readonly filter?: string;
  readonly json?: boolean;
}

/** What is run where no command line is given: all networks of the embedded checkpoint. */
const defaultCommand = ["ask", example.picture, example.question];

/**
 * `mask-llava tune`: finds the fastest kernels for what a command line computes.
 * @param runCommand runs a command line of this program, and gives its exit code
 */
export function tuneCommand(
  io: Io,
  runCommand: (argv: readonly string[], io: Io) => Promise<number>,
): Command {
  return new Command("tune")
    .description(
      "time the kernel variants that a command could use on this adapter, and remember the fastest",
    )
    .argument("[command...]", "a command line of this program, behind -- (default: ask)")
    .addOption(adapterFlag())
    .addOption(memoryFlag())
    .addOption(
      new Option("--filter <text>", "only calls in whose op, shapes and parameters this stands").argParser(
        filledText("a text"),
      ),
    )
    .addOption(jsonFlag())
    .addOption(verboseFlag())
    .addHelpText(
      "after",
      `
The command is run once, with its output thrown away. Then every kernel variant that this adapter can run for its op calls
is timed on random data, and variants that are clearly faster than the usual ones (by a tenth) are written to the user's
cache folder, from where all later commands on the same adapter and driver take them. Results change within rounding only:
a variant that does not compile here, or does not give what the usual one gives, is reported and not taken.
Shapes count to the next power of two. Tuning again replaces what was found before for the same calls.

Examples:
  mask-llava tune
  mask-llava tune -- ask cat.jpg "What is the cat doing?" --model llava-1.5-7b-hf --dtype q4
  mask-llava tune --adapter gpu -- generate "Hello" --model llama-2-7b.Q8_0.gguf`,
    )
    .action(async (command: string[], flags: TuneFlags) => {
      const watch = new Stopwatch();
      const argv = command.length > 0 ? command : defaultCommand;
      const { adapter, memory: memoryBudget } = flags;
      using device = await openNodeDevice({
        ...{ adapter, tuned: true },
        ...(memoryBudget !== undefined && { memoryBudget }),
      });
      const before = device.tuning;
      const calls = before.collect();
      const nowhere = { write: () => true };
      const code = await watch.time("run", () => runCommand(argv, { ...io, stdout: nowhere, device }));
      const wanted = new Map([...calls].filter(([key]) => key.includes(flags.filter ?? "")));
      if (code !== 0) throw new ReportedFailure(code);
      const tuned = await watch.time("tune", () =>
        withProgress(
          io.stderr,
          "tuning",
          (onProgress) => tune(device, wanted, { signal: io.signal, onProgress }),
          (done) => `${done} calls`,
        ),
      );
      const choices = new Map(before.choices);
      for (const { key, usual, chosen } of tuned) {
        if (chosen === usual) choices.delete(key);
        else choices.set(key, chosen);
      }
      const file = writeTuning(device.info, choices);
      if (flags.json) {
        io.stdout.write(`${JSON.stringify({ command: "tune", file, tuned, timings: watch.report() })}\n`);
      } else io.stdout.write(table(tuned));
      say(io, `${choices.size} choices in ${file}`);
    });
}

/** A line a call whose usual kernel is not the fastest, and a line a kernel that is not to be used here. */
function table(tuned: readonly Tuned[]): string {
  const changed = tuned.filter(({ usual, chosen }) => usual !== chosen);
  const lines = changed.map(({ key, usual, chosen, milliseconds }) => {
    const [old, now] = [milliseconds[usual] ?? 0, milliseconds[chosen] ?? 0];
    return `${(old / now).toFixed(2)}x  ${chosen} instead of ${usual}: ${now.toFixed(3)} ms instead of ${old.toFixed(3)}  ${key}\n`;
  });
  const refusals = tuned.flatMap(({ key, refused }) =>
    Object.entries(refused).map(([variant, why]) => `not used: ${variant}: ${why}  ${key}\n`),
  );
  return `${tuned.length} calls timed, ${changed.length} faster with another kernel\n${lines.join("")}${refusals.join("")}`;
}
