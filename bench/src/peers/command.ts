import { driverFilesOf, openNodeDevice } from "@mask-llava/runtime/node";
import { Command } from "commander";
import { type CommonFlags, checkOutputs, chosen, withCommonFlags, writeOutputs } from "../common/flags.ts";
import { defaultSize } from "../common/sizes.ts";
import { peerCases } from "./cases.ts";
import { runPeers } from "./index.ts";
import { OnnxRuntime } from "./onnx-runtime.ts";
import { chartOf, csvOf, formatProgress, formatReport } from "./report.ts";

const examples = `
Examples:
  $ npm run bench -- peers                               all cases on the adapter that \`auto\` means
  $ npm run bench -- peers --filter "LLaMA decode" --json peers.json --plot peers.svg
  $ npm run bench -- peers --adapter swiftshader --size tiny

Each case is computed by both libraries on the same values, on the same adapter, in turns. Theirs is one ONNX graph, written
here, with its inputs and outputs in GPU memory and no node on the processor. A case whose results differ is not compared.`;

export function peersCommand(): Command {
  const command = new Command("peers").description(
    "Compare kernels and networks with ONNX Runtime's WebGPU provider on the same adapter.",
  );
  return withCommonFlags(command)
    .addHelpText("after", examples)
    .action(async (flags: CommonFlags) => {
      if (flags.list) {
        chosen(peerCases(flags.size ?? "real"), flags, command);
        return;
      }
      await checkOutputs(flags);
      using device = await openNodeDevice({ adapter: flags.adapter });
      const size = flags.size ?? defaultSize(device);
      const cases = chosen(peerCases(size), flags, command);
      // the other library finds adapters by itself: it is left this one's driver
      const driverFiles = await driverFilesOf(device.info);
      if (driverFiles) process.env.VK_DRIVER_FILES = driverFiles;
      await using runtime = await OnnxRuntime.load();
      let done = 0;
      const report = await runPeers(device, runtime, {
        size,
        cases,
        note: flags.note,
        onResult: (result) => process.stderr.write(`${formatProgress(result, ++done, cases.length)}\n`),
      });
      await writeOutputs(flags, { report, csv: () => csvOf(report), chart: () => chartOf(report) });
      process.stdout.write(`${formatReport(report)}\n`);
    });
}
