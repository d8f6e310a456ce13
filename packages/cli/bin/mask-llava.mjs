#!/usr/bin/env node
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const launcher = new URL("../dist/launch.js", import.meta.url);

if (existsSync(launcher)) {
  const { launch } = await import(launcher.href);
  await launch(fileURLToPath(import.meta.url), () => import("../dist/main.js"));
} else {
  console.error("mask-llava: it is not built yet: run `npm ci` and `npm run build` in the repository's root");
  process.exitCode = 1;
}
