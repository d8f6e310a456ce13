/** Measures one network in a process of its own: its largest memory and its cold caches are its own too. */
import { openNodeDevice } from "@mask-llava/runtime/node";
import { conditionsOf } from "../common/conditions.ts";
import { defaultSize } from "../common/sizes.ts";
import { modelKinds } from "./kinds.ts";
import { measureLoading } from "./loading.ts";
import { measureModel } from "./measure.ts";
import type { Answers, Request, Response } from "./process.ts";

const mebibyte = 2 ** 20;

async function answer(request: Request): Promise<Answers[keyof Answers]> {
  using device = await openNodeDevice({ adapter: request.adapter });
  device.arithmetic = request.arithmetic;
  const size = request.size ?? defaultSize(device);
  switch (request.wanted) {
    case "conditions":
      return { size, conditions: await conditionsOf(device, request.note) };
    case "loading": {
      const real = device.info.software ? 256 : 2048;
      return await measureLoading(device, { tiny: 4, small: 64, real }[size] * mebibyte);
    }
    case "network": {
      const kind = modelKinds.find(({ name }) => name === request.name);
      if (!kind) throw new RangeError(`no network is called ${request.name}`);
      const limit = { tiny: 200, small: 3000, real: 10_000 }[size];
      const measured = await measureModel(device, kind, { size, dtype: "f16" }, { runs: 20, limit });
      // of the whole process: JavaScript, Dawn, and on a software adapter what is called GPU memory here
      const peakHost = process.resourceUsage().maxRSS * 1024;
      const tokenRate = kind.tokens && (1e3 * kind.tokens) / measured.run.median;
      return { name: kind.name, shape: kind.shape(size), tokenRate, ...measured, peakHost };
    }
  }
}

process.once("message", async (request: Request) => {
  const response: Response = await answer(request).then(
    (found) => ({ answer: found }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
  );
  process.send?.(response, () => process.disconnect());
});
