import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";

/** Runs `work` while no other process runs it under the same lock file; waits for the one that does. */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  for (let said = false; !take(path); ) {
    const pid = holder(path);
    if (!said && alive(pid))
      console.error(`mask-llava: waiting for process ${pid}, which installs or builds`);
    said ||= alive(pid);
    await setTimeout(200);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function take(path) {
  const own = `${path}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, path); // Unlike an exclusive open, this never shows a lock file without its content.
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    if (!alive(holder(path))) rmSync(path, { force: true }); // Its owner was killed.
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}

function holder(path) {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return Number.NaN; // Released between the two calls.
  }
}

function alive(pid) {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM"; // It is there, as another user.
  }
}
