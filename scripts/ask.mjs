#!/usr/bin/env node
/** `npm run ask -- [PICTURE] [QUESTION]`: makes the project ready, then runs `mask-llava ask` with these arguments. */
import { runAfterBootstrap } from "./bootstrap.mjs";

await runAfterBootstrap(async () => {
  // npm runs scripts in the root; paths that the user types are relative to where npm was started.
  if (process.env.npm_lifecycle_event && process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);
  process.argv.splice(2, 0, "ask");
  await import("../packages/cli/bin/mask-llava.mjs");
}, "program");
