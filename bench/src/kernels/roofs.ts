import { type Device, hostTensor } from "@mask-llava/runtime";
import type { Size } from "../common/sizes.ts";
import { type KernelCase, kernelCase, uniform } from "./cases.ts";
import { type Measurement, type MeasureOptions, measureCase } from "./measure.ts";
import { arithmeticRoofOp, readRoofOp } from "./roof-ops.ts";

/** What the adapter did at most in kernels that do nothing else, measured in the same run as the cases. */
export interface Roofs {
  /** From a buffer larger than the caches. */
  readonly readBytesPerSecond: number;
  /** f32 multiply-adds in registers; each counts two. */
  readonly flopsPerSecond: number;
  readonly measurements: readonly (Measurement & { readonly name: string })[];
}

const mebibyte = 2 ** 20;

/** Slabs are workgroups' shares; a workgroup has as many threads as there are columns, or a quarter of them. */
function readCase(bytes: number, groups: number, columns: number): KernelCase {
  const rows = Math.max(4, Math.floor(bytes / (16 * groups * columns)) * 4);
  return kernelCase(readRoofOp, `[${groups}, ${rows}, ${columns}]`, {
    params: null,
    // a sum of R values of size 1 in four partial sums: roundings grow like sqrt(R)·2^-24 of its size, sqrt(R)
    tolerance: { abs: 6e-8 * rows, rel: 4e-6 },
    inputs: () => ({ x: uniform([groups, rows, columns]) }),
  });
}

function arithmeticCase(threads: number, rounds: number): KernelCase {
  return kernelCase(arithmeticRoofOp, `${threads} threads, ${rounds} rounds`, {
    params: { rounds },
    // chains converge to summand / (1 - factor) = 1: what is rounded off is damped by the factor
    tolerance: { abs: 1e-5, rel: 1e-5 },
    inputs: () => ({ x: uniform([threads]), constants: hostTensor([2], "f32", [0.75, 0.25]) }),
  });
}

/** Measures both roofs, each as the best of its variants. */
export async function measureRoofs(device: Device, size: Size, options: MeasureOptions): Promise<Roofs> {
  const { software } = device.info;
  const largest = Math.min(device.caps.limits.maxStorageBufferBindingSize, device.memory().budget / 4);
  const wanted = { tiny: 64, small: 128, real: 1024 }[size] * mebibyte;
  const bytes = Math.min(wanted, largest);
  const reading = software
    ? [readCase(bytes, 256, 32), readCase(bytes, 256, 256)]
    : [readCase(bytes, 4096, 256), readCase(bytes, 1024, 1024)];
  const adding = arithmeticCase(software ? 2 ** 12 : 2 ** 18, software ? 64 : 256);
  const measurements: (Measurement & { name: string })[] = [];
  const best = async (cases: readonly KernelCase[], rate: (m: Measurement) => number): Promise<number> => {
    const rates: number[] = [];
    for (const c of cases) {
      const specs = c.inputs();
      for (const { name, supports } of c.op.variants) {
        if (!supports(specs, c.params, device.caps)) continue;
        const measured = await measureCase(device, c, options, name);
        measurements.push({ name: c.name, ...measured });
        rates.push(rate(measured));
      }
    }
    return Math.max(...rates);
  };
  return {
    readBytesPerSecond: await best(reading, (m) => m.bytes / (m.time.median / 1e3)),
    flopsPerSecond: await best([adding], (m) => m.flops / (m.time.median / 1e3)),
    measurements,
  };
}
