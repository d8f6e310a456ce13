import { byteLength, type Device, fillUniform, type Tensor } from "@mask-llava/runtime";
import { upload } from "@mask-llava/runtime/conformance";
import { type DeviceInputs, type InputPlan, type KernelCase, present } from "./cases.ts";

/** Copies of a case's inputs that repeats walk through, so that none finds its inputs in a cache. */
export class RotatedInputs implements Disposable {
  readonly sets: readonly DeviceInputs[];
  /** Of one set. */
  readonly bytes: number;

  private constructor(sets: readonly DeviceInputs[], bytes: number) {
    this.sets = sets;
    this.bytes = bytes;
  }

  /** Makes as many sets as `target` bytes take, at most `most`. */
  static async make(device: Device, c: KernelCase, target: number, most: number): Promise<RotatedInputs> {
    const plans = present(c.inputs());
    const bytes = plans.reduce((sum, [, p]) => sum + byteLength(p), 0);
    const { live, budget } = device.memory();
    // half of what is free: outputs and scratch need room as well
    const room = Math.max(1, Math.floor((budget - live) / 2 / bytes));
    const count = Math.min(Math.ceil(target / bytes), most, room);
    const sets: DeviceInputs[] = [];
    const rotated = new RotatedInputs(sets, bytes);
    try {
      const first: Record<string, Tensor> = {};
      sets.push(first);
      for (const [i, [name, plan]] of plans.entries()) first[name] = await makeInput(device, name, plan, i);
      while (sets.length < count) {
        const copy: Record<string, Tensor> = {};
        sets.push(copy);
        const encoder = device.gpuDevice.createCommandEncoder({ label: "copy of inputs" });
        for (const [name, source] of Object.entries(first)) {
          const target = device.tensor({ shape: source.shape, dtype: source.dtype, label: name });
          copy[name] = target;
          encoder.copyBufferToBuffer(source.buffer(), 0, target.buffer(), 0, byteLength(source));
        }
        device.submit(encoder);
      }
      await device.idle();
      return rotated;
    } catch (error) {
      rotated[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const set of this.sets) for (const tensor of Object.values(set)) tensor.dispose();
  }
}

async function makeInput(device: Device, name: string, plan: InputPlan, seed: number): Promise<Tensor> {
  if ("data" in plan) return upload(device, plan, name);
  const tensor = device.tensor({ shape: plan.shape, dtype: plan.dtype, label: name });
  const cmd = device.record(`fill ${name}`);
  fillUniform(cmd, tensor, { seed: seed + 1, range: plan.range, mean: plan.mean });
  using program = await cmd.finish();
  program.run();
  return tensor;
}
