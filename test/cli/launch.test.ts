import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { needsSupervision } from "../../packages/cli/src/launch.ts";
import { LineFilter } from "../../packages/cli/src/line-filter.ts";
import { runNode } from "../support/cli.ts";

const supervised = fileURLToPath(new URL("./supervised.mjs", import.meta.url));

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function pidIn(stdout: string): number | undefined {
  const pid = /pid (\d+)\./.exec(stdout)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

describe.skipIf(process.platform !== "linux")("the launcher", () => {
  test("drops routine lines of native code, keeps the rest, and passes on the exit code", async () => {
    const { code, stdout, stderr } = await runNode([supervised, "chatter"]);
    expect(stderr).toBe("a real warning\nlast wordsfrom JavaScript\n");
    expect(stdout).toBe("to stdout\n");
    expect(code).toBe(7);
  });

  test("--verbose keeps everything", async () => {
    const { code, stderr } = await runNode([supervised, "chatter", "--verbose"]);
    expect(stderr.match(/maxDynamic/g)).toHaveLength(3);
    expect(code).toBe(7);
  });

  test("a crash is told, and its last words are kept", async () => {
    const { code, stderr } = await runNode([supervised, "crash"]);
    expect(stderr).toContain("terminate called\n");
    expect(stderr).toContain("ended by SIGABRT");
    expect(code).toBe(128 + 6);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s ends both processes", async (name) => {
    const result = await runNode([supervised, "wait"], {
      onStdout: (text, child) => pidIn(text) && child.kill(name),
    });
    expect(result.signal).toBe(name);
    expect(runs(pidIn(result.stdout) ?? 0)).toBe(false);
  });

  test("SIGINT that reaches both processes, as from a terminal, lets the work clean up once", async () => {
    const result = await runNode([supervised, "clean-up"], {
      ownGroup: true,
      onStdout: (text, child) => {
        if (pidIn(text) !== undefined && !text.includes("cleaned"))
          process.kill(-Number(child.pid), "SIGINT");
      },
    });
    expect(result.stdout).toContain("cleaned up");
    expect(result.code).toBe(130);
  });

  test.each(["SIGTERM", "SIGHUP"] as const)("%s lets the work clean up", async (name) => {
    const result = await runNode([supervised, "clean-up"], {
      onStdout: (text, child) => pidIn(text) && !text.includes("cleaned") && child.kill(name),
    });
    expect(result.stdout).toContain("cleaned up");
    expect(result.code).toBe(128 + constants.signals[name]);
  });

  test("SIGHUP again and again, as from a terminal that is closed, lets the work clean up", async () => {
    const result = await runNode([supervised, "clean-up-slowly"], {
      onStdout: (text, child) => {
        if (pidIn(text) === undefined || text.includes("cleaned")) return;
        child.kill("SIGHUP");
        setTimeout(() => child.kill("SIGHUP"), 1000);
      },
    });
    expect(result.stdout).toContain("cleaned up");
    expect(result.code).toBe(128 + constants.signals.SIGHUP);
  });

  test.each([
    ["supervised", []],
    ["alone", ["--verbose"]],
  ])("work whose stderr nobody reads any more goes on, %s", async (_, flags) => {
    const { code, stdout } = await runNode([supervised, "talk", ...flags], {
      onStdout: (_, child) => child.stderr?.destroy(),
    });
    expect({ code, done: stdout.endsWith("done\n") }).toEqual({ code: 7, done: true });
  });

  test("a second SIGINT ends work that is stuck, after a while", async () => {
    let sent = false;
    const { code, stdout, stderr } = await runNode([supervised, "stuck"], {
      onStdout: (text, child) => {
        if (sent || pidIn(text) === undefined) return;
        sent = true;
        child.kill("SIGINT");
        setTimeout(() => child.kill("SIGINT"), 1000);
      },
    });
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: expect.stringContaining("killed, as it did not answer a second SIGINT within 5 s"),
    });
    expect(runs(pidIn(stdout) ?? 0)).toBe(false);
  });

  test("a second signal, at once, leaves work that answers the time to clean up", async () => {
    const result = await runNode([supervised, "clean-up-slowly"], {
      onStdout: (text, child) => {
        if (pidIn(text) === undefined || text.includes("cleaned")) return;
        child.kill("SIGINT");
        child.kill("SIGTERM");
      },
    });
    expect(result.stdout).toContain("cleaned up");
    expect([130, 143]).toContain(result.code);
  });

  test("when the launcher is killed, the work cleans up", async () => {
    const { stdout, signal } = await runNode([supervised, "clean-up"], {
      onStdout: (text, child) => pidIn(text) && child.kill("SIGKILL"),
    });
    expect(signal).toBe("SIGKILL");
    expect(stdout).toContain("cleaned up");
    await expect.poll(() => runs(pidIn(stdout) ?? 0), { timeout: 10_000 }).toBe(false);
  });

  test("when the launcher is killed, work that does not clean up ends after a while", async () => {
    const { stdout, signal } = await runNode([supervised, "clean-up-forever"], {
      onStdout: (text, child) => pidIn(text) && child.kill("SIGKILL"),
    });
    expect(signal).toBe("SIGKILL");
    await expect.poll(() => runs(pidIn(stdout) ?? 0), { timeout: 30_000 }).toBe(false);
  });

  test("when the launcher is killed, the work ends too", async () => {
    const { stdout, signal } = await runNode([supervised, "wait"], {
      onStdout: (text, child) => pidIn(text) && child.kill("SIGKILL"),
    });
    expect(signal).toBe("SIGKILL");
    await expect.poll(() => runs(pidIn(stdout) ?? 0), { timeout: 10_000 }).toBe(false);
  });
});

test.each([
  [["ask", "x.png", "what?"], "linux", true],
  [["ask", "x.png", "--verbose"], "linux", false],
  [["generate", "--", "--verbose"], "linux", true],
  [["ask", "--help"], "linux", false],
  [[], "linux", false],
  [["ask", "x.png"], "darwin", false],
])("needsSupervision(%j, %s) is %s", (argv, platform, expected) => {
  expect(needsSupervision(argv, platform)).toBe(expected);
});

describe("LineFilter", () => {
  function filtered(...parts: string[]): string {
    let out = "";
    const filter = new LineFilter(
      (line) => !line.startsWith("drop"),
      (text) => {
        out += text;
      },
    );
    for (const part of parts) filter.push(part);
    filter.end();
    return out;
  }
  test.each([
    [["a\ndrop\nb\n"], "a\nb\n"],
    [["dr", "op me\nkeep", " me\n"], "keep me\n"],
    [["drop"], ""],
    [["unfinished"], "unfinished"],
    [["\n\ndrop\n\n"], "\n\n"],
    [["drop\n\ndrop\n\na\n\nb\n"], "a\n\nb\n"],
    [[""], ""],
  ])("%j becomes %j", (parts, expected) => {
    expect(filtered(...parts)).toBe(expected);
  });
  test("a line that does not end in time is passed on, and so is its rest", async () => {
    let out = "";
    const filter = new LineFilter(
      () => false,
      (text) => {
        out += text;
      },
    );
    filter.push("50%");
    await expect.poll(() => out).toBe("50%");
    filter.push(" 100%\nnext");
    filter.end();
    expect(out).toBe("50% 100%\n");
  });
});
