import { KernelError } from "./errors.ts";
import type { Kernel } from "./kernel.ts";

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Compute pipelines keyed by their WGSL: compiles in flight are shared, failures are evicted and thrown. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #compiled = new Map<string, Promise<CompiledKernel>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  /** Time spent in compiling, wall milliseconds summed over pipelines. */
  compileMilliseconds = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get size(): number {
    return this.#compiled.size;
  }

  get(kernel: Kernel): Promise<CompiledKernel> {
    const cached = this.#compiled.get(kernel.source);
    if (cached) return cached;
    const compiling = this.#compile(kernel).catch((error) => {
      this.#compiled.delete(kernel.source);
      throw error;
    });
    this.#compiled.set(kernel.source, compiling);
    return compiling;
  }

  async #compile(kernel: Kernel): Promise<CompiledKernel> {
    const start = performance.now();
    const layout = this.#layout(kernel);
    // errors are taken from the compilation info and the rejected pipeline, so the scope only keeps them from the device
    this.#device.pushErrorScope("validation");
    const module = this.#device.createShaderModule({ code: kernel.source, label: kernel.name });
    const scope = this.#device.popErrorScope();
    const info = await module.getCompilationInfo();
    await scope;
    const errors = info.messages.filter((m) => m.type === "error");
    if (errors.length) {
      const lines = kernel.source.split("\n");
      const text = errors.map(
        (m) => `line ${m.lineNum}: ${m.message}\n    ${lines[m.lineNum - 1]?.trim() ?? ""}`,
      );
      throw new KernelError(`kernel ${kernel.name} does not compile:\n  ${text.join("\n  ")}`);
    }
    try {
      const pipeline = await this.#device.createComputePipelineAsync({
        label: kernel.name,
        layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main" },
      });
      this.compileMilliseconds += performance.now() - start;
      return { pipeline, layout };
    } catch (error) {
      throw new KernelError(`kernel ${kernel.name}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }

  /** Explicit layouts, shared by equal signatures: with `layout: "auto"` Dawn compiles the same source anew. */
  #layout(kernel: Kernel): GPUBindGroupLayout {
    const key = `${kernel.bindings.map((b) => (b.access === "read" ? "r" : "w")).join("")}${kernel.uniforms.length ? "u" : ""}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = kernel.bindings.map((b, binding) => ({
        binding,
        visibility: 4, // GPUShaderStage.COMPUTE; the constant is a browser global that Node lacks
        buffer: { type: b.access === "read" ? "read-only-storage" : "storage" },
      }));
      if (kernel.uniforms.length)
        entries.push({ binding: entries.length, visibility: 4, buffer: { type: "uniform" } });
      layout = this.#device.createBindGroupLayout({ label: key, entries });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}
