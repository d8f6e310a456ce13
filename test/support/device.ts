import type { Device } from "@mask-llava/runtime";
import { openNodeDevice } from "@mask-llava/runtime/node";
import { onTestFinished } from "vitest";

/** Enough for every test, and the same on every machine. */
const defaultBudget = 2 * 2 ** 30;

/** The adapter that this run of the GPU tests is for: a name, or `auto`. */
export const testAdapter: string = process.env.MASK_LLAVA_ADAPTER ?? "auto";

/**
 * A device on the adapter under test. Dispose it in `afterAll` where a file's tests share it; a test that opens one for
 * itself can use `openDeviceForTest`. `limits` pretends to lower limits, `disableFeatures` to lacking features.
 */
export async function openTestDevice(
  options: {
    limits?: Partial<Record<string, number>>;
    memoryBudget?: number;
    disableFeatures?: string[];
  } = {},
): Promise<Device> {
  return await openNodeDevice({ adapter: testAdapter, memoryBudget: defaultBudget, ...options });
}

/** `openTestDevice` for one test: disposed when the test has finished. */
export async function openDeviceForTest(options?: Parameters<typeof openTestDevice>[0]): Promise<Device> {
  const device = await openTestDevice(options);
  onTestFinished(() => device.dispose());
  return device;
}
