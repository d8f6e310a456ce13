import { concat, type Recorder, type RmsNorm, type Tensor } from "@mask-llava/runtime";
import type { WeightRole, Weights } from "../checkpoint/index.ts";
import { Linear } from "./linear.ts";

/** Linear layers of one input as one: [x W₀ᵀ + b₀, x W₁ᵀ + b₁, …]. The weights lie below each other in one matrix. */
export class StackedLinear {
  /** One, or several one after the other where the weights are not all of one type on the GPU. */
  readonly products: readonly Linear[];

  constructor(products: readonly Linear[]) {
    this.products = products;
  }

  /**
   * `NAME.weight` [outputs, inputs] and, with `bias`, `NAME.bias` [outputs] below the cursor for each of `layers`. Files that
   * were quantised before may hold the weights in different types (as some GGUF mixtures do), of which each keeps its own: then
   * only neighbours of one type are stacked, and every change of type costs a product.
   */
  static load(
    w: Weights,
    inputs: number,
    layers: readonly (readonly [name: string, outputs: number])[],
    { bias, role }: { bias: boolean; role: WeightRole },
  ): StackedLinear {
    const alike: (typeof layers)[number][][] = [];
    let type: string | undefined;
    for (const layer of layers) {
      const [name, outputs] = layer;
      const own = w.typeOf(`${name}.weight`, [outputs, inputs], { role });
      if (own !== type) alike.push([]);
      alike.at(-1)?.push(layer);
      type = own;
    }
    const products = alike.map((group) => {
      const matrices = group.map(([name, outputs]) => [`${name}.weight`, [outputs, inputs]] as const);
      const biases = group.map(([name, outputs]) => [`${name}.bias`, [outputs]] as const);
      const weight = w.takeConcat(matrices, { role }); // [Σ outputs, inputs]
      return new Linear(weight, bias ? w.takeConcat(biases, { dtype: "f32" }) : undefined);
    });
    return new StackedLinear(products);
  }

  get weights(): Tensor[] {
    return this.products.map(({ weight }) => weight);
  }

  /** [.., inputs] -> [.., Σ outputs] */
  forward(cmd: Recorder, x: Tensor, options: { readonly norm?: RmsNorm | undefined } = {}): Tensor {
    const parts = this.products.map((product) => product.forward(cmd, x, options));
    const [only] = parts;
    return parts.length === 1 && only ? only : concat(cmd, parts, -1);
  }
}
