/** A command like bin/mask-llava.mjs whose main does what its first argument says: for testing the launcher. */
import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { interruptible } from "../../packages/cli/dist/interrupt.js";
import { launch } from "../../packages/cli/dist/launch.js";

const routine =
  "Warning: maxDynamicStorageBuffersPerPipelineLayout artificially reduced from 1000000 to 16\n";

const behaviours = {
  /** Writes to the file descriptor as native code does, a line in two parts among them. */
  async chatter() {
    writeSync(2, `${routine}a real warning\n${routine}`);
    writeSync(2, "Warning: maxDynamicUniformBuffersPer");
    writeSync(2, "PipelineLayout artificially reduced\nlast words");
    console.error("from JavaScript");
    console.log("to stdout");
    process.exitCode = 7;
  },
  async crash() {
    writeSync(2, "terminate called\n");
    process.abort();
  },
  async wait() {
    console.log(`pid ${process.pid}.`);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
  async "clean-up"() {
    const { signal, release } = interruptible();
    const held = setTimeout(() => {}, 60_000);
    console.log(`pid ${process.pid}.`);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    clearTimeout(held);
    release();
    console.log("cleaned up");
  },
};

await launch(fileURLToPath(import.meta.url), () => behaviours[process.argv[2]]());
