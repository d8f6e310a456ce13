import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { checkPrompt, type TemplateContext, type TemplateRenderer } from "../text/chat-template.ts";
import { ChatTemplateError } from "../text/errors.ts";

/**
 * The worker's programs, as text: workers cannot be started from TypeScript, and this way the same file works from source and
 * from the build.
 *
 * A process, because V8 ends the whole process where one allocation oversteps a thread's memory limit by much. A thread within
 * it renders, so that the process notices when nobody waits any more.
 */
const threadProgram = `
const { parentPort, workerData } = require("node:worker_threads");
const { Template } = require(workerData.jinja);
parentPort.postMessage({ started: true });
let answer;
try {
  const template = new Template(workerData.template);
  answer = { texts: workerData.contexts.map((context) => template.render(context)) };
} catch (error) {
  answer = { error: error instanceof Error ? error.message : String(error) };
}
parentPort.postMessage(answer);
`;
const processProgram = `
const { Worker } = require("node:worker_threads");
process.on("disconnect", () => process.exit(1));
process.once("message", ({ program, workerData, resourceLimits }) => {
  const end = (answer) => process.send(answer, () => process.exit(0));
  new Worker(program, { eval: true, workerData, resourceLimits, env: {} })
    .on("message", (message) => (message.started ? process.send(message) : end(message)))
    .once("error", (e) => end(e.code === "ERR_WORKER_OUT_OF_MEMORY" ? { memory: true } : { error: e.message }));
});
`;

/** Milliseconds for a process to start; a busy machine takes seconds. */
const startMs = 60_000;
/** Milliseconds that each context adds to what a template may take. */
const contextMs = 20;

interface Answer {
  /** It is about to render: from here on, time is the template's. */
  readonly started?: true;
  /** One a context. */
  readonly texts?: readonly unknown[];
  readonly error?: string;
  readonly memory?: true;
}

/**
 * Renders each template in a process of its own that is ended when it takes too long or too much memory. The process is the
 * same for all contexts that are given at once.
 */
export class WorkerTemplateRenderer implements TemplateRenderer {
  readonly #timeoutMs: number;
  readonly #memoryMb: number;

  constructor(options: { timeoutMs?: number; memoryMb?: number } = {}) {
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#memoryMb = options.memoryMb ?? 128;
  }

  async render(template: string, contexts: readonly TemplateContext[]): Promise<string[]> {
    const worker = spawn(process.execPath, ["-e", processProgram], {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      // nothing of the environment is a template's business, but Node may need it to start
      env: { LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH },
    });
    let timer: NodeJS.Timeout | undefined;
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        const limit = (milliseconds: number, what: string) => {
          clearTimeout(timer);
          timer = setTimeout(
            () => reject(new ChatTemplateError(`${what} more than ${milliseconds} ms`)),
            milliseconds,
          );
        };
        worker.on("message", (message) => {
          const answer = message as Answer;
          if (answer.started) limit(this.#timeoutMs + contextMs * (contexts.length - 1), "took");
          else resolve(answer);
        });
        worker.on("error", (cause) => reject(new ChatTemplateError(cause.message, { cause })));
        worker.once("exit", (code, signal) => {
          // V8 aborts the process (as a trap in some builds); the kernel kills it
          if (signal === "SIGABRT" || signal === "SIGTRAP" || signal === "SIGKILL") resolve({ memory: true });
          else reject(new ChatTemplateError(`its worker was ended by ${signal ?? `exit code ${code}`}`));
        });
        limit(startMs, "its worker did not start for");
        worker.send({
          program: threadProgram,
          workerData: {
            jinja: createRequire(import.meta.url).resolve("@huggingface/jinja"),
            template,
            contexts,
          },
          resourceLimits: { maxOldGenerationSizeMb: this.#memoryMb, stackSizeMb: 4 },
        });
      });
      if (answer.memory) throw new ChatTemplateError(`needs more than ${this.#memoryMb} MiB`);
      if (answer.error !== undefined) throw new ChatTemplateError(answer.error);
      return contexts.map((_, i) => checkPrompt(answer.texts?.[i]));
    } finally {
      clearTimeout(timer);
      worker.kill("SIGKILL");
    }
  }
}
