/** The limits that kernels are chosen by. Bytes, unless the name says otherwise. */
export interface DeviceLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly minUniformBufferOffsetAlignment: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupsPerDimension: number;
}

/** Matrices that a subgroup multiplies at once: M x K by K x N of `componentType`, with sums of `resultComponentType`. */
export interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What a kernel variant may ask of the device. Never an adapter's name. */
export interface Capabilities {
  /** WGSL `enable f16`. */
  readonly f16: boolean;
  readonly subgroups: boolean;
  /** The size where it is the same for every pipeline, else 0. Software adapters: 4 or 8; NVIDIA: 32. */
  readonly subgroupSize: number;
  /** WGSL `enable chromium_experimental_subgroup_matrix`: the kinds of matrices; none where the device lacks it. */
  readonly subgroupMatrix: readonly SubgroupMatrixConfig[];
  /** `dot4I8Packed` and friends. */
  readonly packedDot: boolean;
  readonly timestamps: boolean;
  readonly limits: DeviceLimits;
}

/** The adapter as it describes itself. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
}

export const limitNames = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "minStorageBufferOffsetAlignment",
  "minUniformBufferOffsetAlignment",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
] as const satisfies readonly (keyof DeviceLimits)[];
