import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { runCli } from "../support/cli.ts";

/** Draws scenes in a folder of its own; once there are some, `name` ends the launcher. */
async function interrupted(name: NodeJS.Signals) {
  const place = mkdtempSync(join(tmpdir(), "mask-llava-interrupted-"));
  onTestFinished(() => rmSync(place, { recursive: true, force: true }));
  const argv = ["scenes", "--seed", "1", "--count", "100000", "--out", join(place, "scenes")];
  const result = await runCli(argv, {
    onStart: (child) => {
      const timer = setInterval(() => {
        const begun = readdirSync(place, { recursive: true, encoding: "utf8" });
        if (!begun.some((file) => file.endsWith(".jpg"))) return;
        clearInterval(timer);
        child.kill(name);
      }, 20);
    },
  });
  return { ...result, left: () => readdirSync(place) };
}

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s leaves nothing behind", async (name) => {
  const { code, stderr, left } = await interrupted(name);
  expect({ code, stderr, left: left() }).toEqual({
    code: 128 + constants.signals[name],
    stderr: `mask-llava: interrupted by ${name}\n`,
    left: [],
  });
});

test.skipIf(process.platform !== "linux")("a launcher that is killed leaves nothing behind", async () => {
  const { signal, left } = await interrupted("SIGKILL");
  expect(signal).toBe("SIGKILL");
  await expect.poll(left, { timeout: 10_000 }).toEqual([]);
});
