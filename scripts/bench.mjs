#!/usr/bin/env node
/** `npm run bench -- …`: makes the project ready, then runs the benchmarks with these arguments. */
import { runAfterBootstrap } from "./bootstrap.mjs";

await runAfterBootstrap(() => import("../bench/dist/main.js"));
