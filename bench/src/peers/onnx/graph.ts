import {
  encodeFloat16,
  formatSpec,
  type Shape,
  type Storage,
  sizeOf,
  type Tensor,
} from "@mask-llava/runtime";
import {
  type AttributeValue,
  attribute,
  type ElementType,
  elementTypes,
  encodeModel,
  type NodeMessage,
  type TensorMessage,
  valueMessage,
} from "./messages.ts";

/** Values that the caller of a model gives. */
export interface Feed {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: Shape;
  /** In the type's own representation; halves as bits. */
  readonly data: ArrayBufferView;
}

/** An output of a model. */
export interface Result {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: Shape;
  /** The tensor of the recording that it corresponds to; undefined where it is a by-product. */
  readonly tensor: Tensor | undefined;
  /** The feed in whose memory it is to be written. */
  readonly inPlaceOf: string | undefined;
}

export interface OnnxModel {
  readonly bytes: Uint8Array;
  readonly feeds: readonly Feed[];
  readonly results: readonly Result[];
  readonly nodes: number;
}

/** Tensors from outside of a recording, as they are on the GPU. */
export interface External {
  readonly shape: Shape;
  readonly dtype: Tensor["dtype"];
  /** Floats of any width as numbers. */
  readonly data: ArrayLike<number>;
  /** Differs from run to run, so that the graph takes it as an input; otherwise it is a weight. */
  readonly fed: boolean;
}

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly domain?: "" | "com.microsoft";
}

interface Value {
  readonly name: string;
  readonly shape: Shape;
}

export interface GraphOptions {
  /** Of all floats. */
  readonly float: "f32" | "f16";
  /** Attention in one operator; else in the parts that an exporter writes. */
  readonly fused: boolean;
}

/** Builds an ONNX graph whose values are tensors of a recording. */
export class GraphBuilder {
  readonly name: string;
  readonly float: "f32" | "f16";
  readonly fused: boolean;
  readonly #external: ReadonlyMap<Storage, External>;
  readonly #values = new Map<Storage, Value>();
  readonly #reshaped = new Map<string, string>();
  readonly #transposed = new Map<Storage, string>();
  readonly #nodes: NodeMessage[] = [];
  readonly #initializers = new Map<string, TensorMessage>();
  readonly #feeds = new Map<string, Feed>();
  readonly #results: Result[] = [];
  #names = 0;

  constructor(name: string, { float, fused }: GraphOptions, external: ReadonlyMap<Storage, External>) {
    this.name = name;
    this.float = float;
    this.fused = fused;
    this.#external = external;
  }

  /** The value of a tensor, in the tensor's shape: memory that was last seen in another is reshaped. */
  read(tensor: Tensor): string {
    const known = this.#values.get(tensor.storage) ?? this.#introduce(tensor);
    if (known.shape.join() === tensor.shape.join()) return known.name;
    const key = `${known.name} as ${tensor.shape}`;
    let name = this.#reshaped.get(key);
    if (name === undefined) {
      name = this.apply("Reshape", [known.name, this.integers(tensor.shape)]);
      this.#reshaped.set(key, name);
    }
    return name;
  }

  /** Says which value a recorded tensor has. */
  assign(tensor: Tensor, name: string): void {
    this.#values.set(tensor.storage, { name, shape: tensor.shape });
  }

  /** Adds a node with one output and returns that. */
  apply(opType: string, inputs: readonly string[], options: NodeOptions = {}): string {
    const [output] = this.node(opType, inputs, 1, options) as [string];
    return output;
  }

  /** Adds a node and returns its outputs. */
  node(opType: string, input: readonly string[], outputs: number, options: NodeOptions = {}): string[] {
    const output = Array.from({ length: outputs }, () => this.#fresh("v"));
    const given = Object.entries(options.attributes ?? {});
    this.#nodes.push({
      name: `${opType} ${this.#nodes.length}`,
      opType,
      domain: options.domain ?? "",
      input,
      output,
      attribute: given.map(([name, value]) => attribute(name, value)),
    });
    return output;
  }

  /** Of a tensor from outside. */
  hostValues(tensor: Tensor): ArrayLike<number> {
    return this.#externalOf(tensor).data;
  }

  /** A weight with its last two axes swapped, as a file made for this library would hold it. */
  transposed(tensor: Tensor): string {
    const before = this.#transposed.get(tensor.storage);
    if (before) return before;
    const { data, fed } = this.#externalOf(tensor);
    if (fed) throw new TypeError(`${this.name}: ${formatSpec(tensor)} is no weight`);
    const [n, k] = tensor.shape.slice(-2) as [number, number];
    const turned = new Float32Array(data.length);
    for (let start = 0; start < turned.length; start += n * k) {
      for (let i = 0; i < n; i++)
        for (let j = 0; j < k; j++) turned[start + j * n + i] = data[start + i * k + j] as number;
    }
    const name = this.floats(turned, [...tensor.shape.slice(0, -2), k, n], tensor.label);
    this.#transposed.set(tensor.storage, name);
    return name;
  }

  /** Whether a tensor is a constant of the graph: neither fed nor computed. */
  isWeight(tensor: Tensor): boolean {
    return this.#external.get(tensor.storage)?.fed === false;
  }

  /** A constant of indices. */
  integers(values: readonly number[], type: "i64" | "i32" = "i64"): string {
    const key = `${type} ${values}`;
    const data = type === "i64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
    return this.#initialize(key, type, [values.length], data);
  }

  /** A constant of floats. */
  floats(values: ArrayLike<number>, shape: Shape, label: string): string {
    return this.#initialize(this.#fresh(label), this.float, shape, this.#encode(this.float, values));
  }

  /** An input with values of its own making. */
  feed(label: string, type: ElementType, shape: Shape, values: ArrayLike<number>): string {
    const name = this.#fresh(label);
    this.#feeds.set(name, { name, type, shape, data: this.#encode(type, values) });
    return name;
  }

  /** Makes a value an output. */
  result(name: string, shape: Shape, of: { tensor?: Tensor; inPlaceOf?: string } = {}): void {
    const { tensor, inPlaceOf } = of;
    this.#results.push({ name, type: this.float, shape, tensor, inPlaceOf });
  }

  finish(): OnnxModel {
    const feeds = [...this.#feeds.values()];
    const bytes = encodeModel({
      name: this.name,
      node: this.#nodes,
      initializer: [...this.#initializers.values()],
      input: feeds.map(({ name, type, shape }) => valueMessage(name, type, shape)),
      output: this.#results.map(({ name, type, shape }) => valueMessage(name, type, shape)),
    });
    return { bytes, feeds, results: this.#results, nodes: this.#nodes.length };
  }

  #externalOf(tensor: Tensor): External {
    const found = this.#external.get(tensor.storage);
    if (!found) throw new TypeError(`${this.name}: ${formatSpec(tensor)} is computed, not given`);
    return found;
  }

  #introduce(tensor: Tensor): Value {
    const { shape, dtype, data, fed } = this.#externalOf(tensor);
    const floating = dtype === "f32" || dtype === "f16";
    const type = floating ? this.float : "i32";
    const label = tensor.label || "tensor";
    const value = {
      name: fed
        ? this.feed(label, type, shape, data)
        : this.#initialize(this.#fresh(label), type, shape, this.#encode(type, data)),
      shape,
    };
    this.#values.set(tensor.storage, value);
    return value;
  }

  #initialize(key: string, type: ElementType, shape: Shape, data: ArrayBufferView): string {
    if (!this.#initializers.has(key)) {
      const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      this.#initializers.set(key, { name: key, dims: shape, dataType: elementTypes[type], rawData });
    }
    return key;
  }

  #encode(type: ElementType, values: ArrayLike<number>): ArrayBufferView {
    switch (type) {
      case "f32":
        return Float32Array.from(values);
      case "f16":
        return encodeFloat16(values);
      case "i32":
        return Int32Array.from(values);
      case "u8":
        return Uint8Array.from(values);
      case "i64":
        return BigInt64Array.from({ length: values.length }, (_, i) => BigInt(values[i] as number));
    }
  }

  #fresh(label: string): string {
    return `${label}.${this.#names++}`;
  }
}

/** Bytes of a value. */
export function valueBytes({ type, shape }: { type: ElementType; shape: Shape }): number {
  return sizeOf(shape) * { f32: 4, f16: 2, i32: 4, i64: 8, u8: 1 }[type];
}
