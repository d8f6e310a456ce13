/** A command like bin/mask-llava.mjs whose main does what its first argument says: for testing the launcher. */
import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { interruptible } from "../../packages/cli/dist/interrupt.js";
import { launch } from "../../packages/cli/dist/launch.js";

const routine =
  "Warning: maxDynamicStorageBuffersPerPipelineLayout artificially reduced from 1000000 to 16\n";

/** Waits for a signal, and takes so many milliseconds to clean up. */
async function cleanUp(milliseconds) {
  const { signal, release } = interruptible();
  const held = setTimeout(() => {}, 60_000);
  console.log(`pid ${process.pid}.`);
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  clearTimeout(held);
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  release();
  console.log("cleaned up");
}

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
  "clean-up": () => cleanUp(0),
  /** Longer than a second signal takes to end it, and than the launcher waits for an answer. */
  "clean-up-slowly": () => cleanUp(7000),
  /** Takes a signal, and never comes to an end. */
  async "clean-up-forever"() {
    interruptible();
    console.log(`pid ${process.pid}.`);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
  /** Does not come back to where signals are taken before anybody loses patience. */
  async stuck() {
    interruptible();
    console.log(`pid ${process.pid}.`);
    for (const end = Date.now() + 30_000; Date.now() < end; );
  },
  /** Goes on saying things for people, as native code does too. */
  async talk() {
    console.log(`pid ${process.pid}.`);
    for (let i = 0; i < 10; i++) {
      console.error(`step ${i}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    console.log("done");
    process.exitCode = 7;
  },
};

await launch(fileURLToPath(import.meta.url), () => behaviours[process.argv[2]]());
