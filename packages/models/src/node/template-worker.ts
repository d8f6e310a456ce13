import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { checkPrompt, type TemplateContext, type TemplateRenderer } from "../text/chat-template.ts";
import { ChatTemplateError } from "../text/errors.ts";

/**
 * The worker's program, as text: a worker cannot be started from TypeScript, and this way the same file works from source and
 * from the build.
 */
const program = `
const { parentPort, workerData } = require("node:worker_threads");
const { Template } = require(workerData.jinja);
let answer;
try {
  answer = { text: new Template(workerData.template).render(workerData.context) };
} catch (error) {
  answer = { error: error instanceof Error ? error.message : String(error) };
}
parentPort.postMessage(answer);
`;

/** Renders each template in a worker thread of its own that is ended when it takes too long or too much memory. */
export class WorkerTemplateRenderer implements TemplateRenderer {
  readonly #timeoutMs: number;
  readonly #memoryMb: number;

  constructor(options: { timeoutMs?: number; memoryMb?: number } = {}) {
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#memoryMb = options.memoryMb ?? 128;
  }

  async render(template: string, context: TemplateContext): Promise<string> {
    const worker = new Worker(program, {
      eval: true,
      workerData: { jinja: createRequire(import.meta.url).resolve("@huggingface/jinja"), template, context },
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: this.#memoryMb, stackSizeMb: 4 },
    });
    let timer: NodeJS.Timeout | undefined;
    try {
      return checkPrompt(
        await new Promise<string>((resolve, reject) => {
          worker.once("message", ({ text, error }: { text?: string; error?: string }) => {
            if (error === undefined) resolve(text as string);
            else reject(new ChatTemplateError(error));
          });
          worker.once("error", (cause: NodeJS.ErrnoException) => {
            const memory = cause.code === "ERR_WORKER_OUT_OF_MEMORY";
            reject(
              new ChatTemplateError(memory ? `needs more than ${this.#memoryMb} MiB` : cause.message, {
                cause,
              }),
            );
          });
          worker.once("exit", (code) => reject(new ChatTemplateError(`its worker ended with code ${code}`)));
          timer = setTimeout(
            () => reject(new ChatTemplateError(`took more than ${this.#timeoutMs} ms`)),
            this.#timeoutMs,
          );
        }),
      );
    } finally {
      clearTimeout(timer);
      await worker.terminate();
    }
  }
}
