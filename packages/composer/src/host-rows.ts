/** Rows of one width on the host, row-major. */
export interface HostRows {
  readonly width: number;
  readonly data: Float32Array;
}

/** Values on the host, row-major. */
export interface HostValues {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
