import type { CheckpointReport } from "@mask-llava/models";
import { describe, expect, test } from "vitest";
import { brokenModel, entry, header, set } from "./broken.ts";
import { cli, fixture, temporaryFolder } from "./support.ts";

async function inspect(folder: string): Promise<{ code: number; report: CheckpointReport; stderr: string }> {
  const { code, stdout, stderr } = await cli("inspect", folder, "--json");
  return { code, report: JSON.parse(stdout) as CheckpointReport, stderr };
}

describe("inspect", () => {
  test.each([
    ["clip-quick-gelu", "clip"],
    ["clip-gelu", "clip"],
    ["llama-gqa", "llama"],
    ["llama-tied-llama3", "llama"],
    ["llama-f16", "llama"],
    ["llava-default", "llava"],
    ["llava-full", "llava"],
    ["llava-layers", "llava"],
    ["llava-older", "llava"],
  ])("finds %s whole, with every tensor taken or ignored", async (name, kind) => {
    const { code, report, stderr } = await inspect(fixture(name));
    expect({ code, stderr, kind: report.kind }).toEqual({ code: 0, stderr: "", kind });
    const { tensors, parameters, load } = report;
    expect(load?.problems).toEqual([]);
    const ignored = tensors.filter(({ name }) => load?.ignored.includes(name));
    expect((load?.tensors ?? 0) + ignored.length).toBe(tensors.length);
    expect((load?.parameters ?? 0) + ignored.reduce((sum, t) => sum + t.parameters, 0)).toBe(parameters);
    expect(Object.values(load?.parts ?? {}).reduce((sum, n) => sum + n, 0)).toBe(load?.parameters);
    expect(Object.values(report.dtypes).reduce((sum, d) => sum + d.bytes, 0)).toBe(report.bytes);
    // Four bytes each, but for padding to 16; in f16 about half, as norms and biases stay in f32.
    const { f32 = 0, f16 = 0 } = load?.memory ?? {};
    const padding = 16 * (load?.tensors ?? 0);
    // CLIP's class token is added to its position on loading, so that it takes no memory of its own.
    const folded = report.kind === "llama" ? 0 : 4 * 64;
    expect(f32).toBeGreaterThanOrEqual(4 * (load?.parameters ?? 0) - folded);
    expect(f32).toBeLessThanOrEqual(4 * (load?.parameters ?? 0) + padding);
    expect(f16).toBeGreaterThan(f32 / 2);
    expect(f16).toBeLessThan(f32);
  });

  test("says in words what a model is, and lists tensors when asked to", async () => {
    const { code, stdout } = await cli("inspect", fixture("llava-older"));
    expect(code).toBe(0);
    for (const part of ["LlavaForConditionalGeneration", "F16", "--dtype f16", "position_ids", "loadable"]) {
      expect(stdout).toContain(part);
    }
    expect(stdout).not.toContain("self_attn");
    const { stdout: names } = await cli("inspect", fixture("llava-older"), "--names");
    expect(names).toMatch(
      /language_model\.model\.layers\.0\.self_attn\.q_proj\.weight {2}F16\[\d+, \d+\] {2}model-0000/,
    );
  });

  test("names every problem of a model that cannot be loaded", async () => {
    const model = brokenModel("llama-gqa", temporaryFolder(), {
      "model.safetensors": header((entries) => {
        entries["model.extra"] = entry(entries, "model.norm.weight");
        delete entries["model.norm.weight"];
        entry(entries, "lm_head.weight").shape.reverse();
        return undefined;
      }),
    });
    const { code, report, stderr } = await inspect(model);
    expect(code).toBe(1);
    expect(report.load?.problems.toSorted()).toEqual([
      'tensor "lm_head.weight" has another shape (found [36, 471], expected [471, 36])',
      'tensor "model.extra" is not one of the network\'s',
      'tensor "model.norm.weight" is missing (expected [36])',
    ]);
    for (const problem of report.load?.problems ?? []) expect(stderr).toContain(problem);
  });

  test("refuses a number of layers that no network has", async () => {
    const model = brokenModel("llama-gqa", temporaryFolder(), {
      "config.json": set("num_hidden_layers", 2_000_000_000),
    });
    const { code, stdout, stderr } = await cli("inspect", model);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("config.json: num_hidden_layers: ");
    expect(stderr).toContain("found 2000000000, expected at most 4096");
  });

  test("refuses rotary settings that no frequencies can be computed from", async () => {
    const model = brokenModel("llama-gqa", temporaryFolder(), {
      "config.json": set("rope_parameters.partial_rotary_factor", 0.25),
    });
    const { code, stdout, stderr } = await cli("inspect", model);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("config.json: rope_parameters.partial_rotary_factor: rotates 3 elements");
    expect(stderr).toContain("found 0.25, expected a share that is an even number of elements");
  });

  test("tells the tensors of a model that is not one of ours", async () => {
    const folder = temporaryFolder();
    const model = brokenModel("llama-gqa", folder, {
      "config.json": () => '{"model_type": "mamba", "architectures": ["MambaForCausalLM"]}',
    });
    const { code, report } = await inspect(model);
    expect(code).toBe(0);
    expect(report).toMatchObject({ modelType: "mamba", kind: null, load: null });
    expect(report.tensors.length).toBeGreaterThan(30);
    expect((await cli("inspect", model)).stdout).toContain('"mamba" is not supported');
  });
});
