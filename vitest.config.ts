import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";

/**
 * Tests run against the packages' sources. `*.test.ts` needs no adapter and runs once; `*.gpu.test.ts` runs on each
 * adapter named in MASK_LLAVA_TEST_ADAPTERS (a JSON array of names; `npm test` fills it), else on MASK_LLAVA_ADAPTER,
 * else on the one that `auto` means. Each such run finds its adapter's name in MASK_LLAVA_ADAPTER.
 */
const conditions = ["@mask-llava/source"];
const folders = "{packages/*/src,bench/src,test,scripts}";

function gpuProject(adapter: string): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: { name: adapter, include: [`${folders}/**/*.gpu.test.ts`], env: { MASK_LLAVA_ADAPTER: adapter } },
  };
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // A process of its own for each file: native code that crashes takes one file with it.
    pool: "forks",
    maxWorkers: 2,
    // The embedded software adapter does about one GFLOP/s, and may share its cores.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: "no adapter",
          include: [`${folders}/**/*.test.{ts,mjs}`],
          exclude: ["**/*.gpu.test.ts", "**/node_modules/**"],
        },
      },
      ...adaptersUnderTest().map(gpuProject),
    ],
  },
});

function adaptersUnderTest(): string[] {
  const names: unknown = JSON.parse(process.env.MASK_LLAVA_TEST_ADAPTERS ?? "[]");
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) {
    throw new Error("MASK_LLAVA_TEST_ADAPTERS must be a JSON array of adapters' names");
  }
  return names.length > 0 ? names : [process.env.MASK_LLAVA_ADAPTER ?? "auto"];
}
