import { interruptible } from "./interrupt.ts";
import { run } from "./run.ts";

const interrupt = interruptible();

// A reader that went away (`| head`) or a full disk: nothing that is still to be said can be said.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // a terminal that was closed: the work cleans up, and then the process ends
  if (interrupt.signal.aborted) return;
  if (error.code !== "EPIPE")
    process.stderr.write(`mask-llava: stdout cannot be written: ${error.message}\n`);
  process.exit(1);
});

const code = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupt.signal,
});
interrupt.release();
// An interruption has set its own.
process.exitCode ||= code;
