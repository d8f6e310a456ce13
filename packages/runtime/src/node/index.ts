/** The Node home of the runtime: finds or provides an adapter, and knows files and the environment. */
export {
  type AdapterCandidate,
  type AdapterChoice,
  createGpu,
  driverFilesOf,
  listAdapters,
  type OpenedAdapter,
} from "./adapters.ts";
export { userCacheFolder } from "./cache-folder.ts";
export {
  adviseOnEnvironment,
  type ContainerFacts,
  type DeviceNode,
  inspectEnvironment,
  type VulkanEnvironment,
} from "./environment.ts";
export type { IcdFile } from "./icd.ts";
export type { LoaderSearch } from "./loader.ts";
export { availableHostMemory, defaultMemoryBudget, type MemoryBudget } from "./memory.ts";
export { isStartupMessage, nativeMessages } from "./native-messages.ts";
export { type NodeDeviceOptions, openNodeDevice } from "./open-device.ts";
export { readTuning, tuningFile, writeTuning } from "./tuning-file.ts";
