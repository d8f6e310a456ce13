import { type Device, type DeviceOptions, openDevice } from "../device.ts";
import { type AdapterChoice, createGpu } from "./adapters.ts";
import { defaultMemoryBudget } from "./memory.ts";
import { readTuning } from "./tuning-file.ts";

export interface NodeDeviceOptions extends DeviceOptions {
  /** `auto` (the default), `gpu`, `software`, or a part of an adapter's name. */
  readonly adapter?: AdapterChoice;
  /** Take the kernel variants that `mask-llava tune` has found fastest on this adapter; default false. */
  readonly tuned?: boolean;
}

/** GPU objects of the devices that are open: when one is collected before its device, the process crashes. */
const inUse = new Set<GPU>();

/**
 * Finds or provides an adapter in Node and opens a device on it. Without `memoryBudget`, the budget is
 * `defaultMemoryBudget` of the adapter. Throws AdapterError where no adapter fits.
 */
export async function openNodeDevice(options: NodeDeviceOptions = {}): Promise<Device> {
  const { adapter: choice, tuned = false, ...deviceOptions } = options;
  const { gpu, adapter, info } = await createGpu(choice === undefined ? {} : { adapter: choice });
  const memoryBudget = options.memoryBudget ?? defaultMemoryBudget(info).bytes;
  const device = await openDevice(gpu, adapter, { ...deviceOptions, memoryBudget });
  if (tuned) device.tuning = readTuning(device.info);
  inUse.add(gpu);
  device.gpuDevice.lost.then(() => inUse.delete(gpu));
  return device;
}
