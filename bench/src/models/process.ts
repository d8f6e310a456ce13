import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { NetworkArithmetic } from "@mask-llava/runtime";
import type { Conditions } from "../common/conditions.ts";
import type { Size } from "../common/sizes.ts";
import type { LoadingSpeed } from "./loading.ts";
import type { ModelMeasurement } from "./measure.ts";

export interface ModelRow extends ModelMeasurement {
  readonly name: string;
  readonly shape: string;
  /** Of a decoder: tokens a second, of all sequences, by the median run. */
  readonly tokenRate?: number | undefined;
  /** Largest resident memory of the process, in bytes. */
  readonly peakHost: number;
}

/** What a process can be asked for. */
export interface Answers {
  readonly conditions: { readonly size: Size; readonly conditions: Conditions };
  readonly loading: LoadingSpeed;
  readonly network: ModelRow;
}

export interface Request<K extends keyof Answers = keyof Answers> {
  readonly wanted: K;
  /** The network's name, where one is wanted. */
  readonly name?: string;
  readonly adapter: string;
  readonly arithmetic: NetworkArithmetic;
  readonly size?: Size | undefined;
  readonly note?: string | undefined;
}

export type Response = { readonly answer: Answers[keyof Answers] } | { readonly error: string };

/** Asks a new process, whose driver finds no shader that it has compiled before. */
export async function askProcess<K extends keyof Answers>(request: Request<K>): Promise<Answers[K]> {
  const cache = await mkdtemp(join(tmpdir(), "mask-llava-shaders-"));
  try {
    const env = { ...process.env, MESA_SHADER_CACHE_DIR: cache, __GL_SHADER_DISK_CACHE_PATH: cache };
    const response = await exchange(request, env);
    if ("error" in response) throw new Error(`${request.name ?? request.wanted}: ${response.error}`);
    return response.answer as Answers[K];
  } finally {
    await rm(cache, { recursive: true });
  }
}

function exchange(request: Request, env: NodeJS.ProcessEnv): Promise<Response> {
  const worker = fileURLToPath(new URL("./worker.js", import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(worker, { env });
    let response: Response | undefined;
    child.on("message", (message) => {
      response = message as Response;
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (response) resolve(response);
      else reject(new Error(`the process for ${request.wanted} ended with ${signal ?? `exit code ${code}`}`));
    });
    child.send(request);
  });
}
