import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Llava } from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import { expect, test } from "vitest";
import { openDeviceForTest } from "../support/device.ts";
import { Fixture } from "../support/fixtures.ts";

/** Allocators keep some of what was freed; a program leaked at each ask would be several times this. */
const hostSlack = 48 * 2 ** 20;

/** Resident bytes of this process after a collection, which native objects wait for too. */
function residentBytes(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().rss;
}

test("200 asks do not grow memory, and disposing leaves nothing", async () => {
  const device = await openDeviceForTest();
  const fixture = await Fixture.open("llava-default");
  const model = await Llava.load(device, fixture.folder);
  const pictures = [await decodeImage(fixture.file(fixture.json.pictures[0]))];
  const ask = (i: number) =>
    model.ask(
      { pictures, prompt: `${fixture.json.prompt}${" more".repeat(i % 5)}` },
      { maxNewTokens: 2, ignoreEos: true, doSample: i % 20 === 0, seed: i },
    );
  const asks = async (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      await ask(i);
      if (i % 20 === 19) residentBytes(); // a bound on garbage, not on what is held
    }
  };
  await asks(0, 60);
  const gpu = device.memory();
  const pipelines = device.pipelines.size;
  const host = residentBytes();
  await asks(60, 260);
  const after = device.memory();
  expect(after).toMatchObject({ live: gpu.live, buffers: gpu.buffers, cached: gpu.cached });
  expect(device.pipelines.size).toBe(pipelines);
  expect(residentBytes() - host).toBeLessThan(hostSlack);
  model.dispose();
  expect(device.buffers.live()).toEqual([]);
}, 300_000);
