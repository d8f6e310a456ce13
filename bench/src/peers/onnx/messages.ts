import protobuf from "protobufjs/light.js";

/** TensorProto.DataType of the element types that are written here. */
export const elementTypes = { f32: 1, u8: 2, i32: 6, i64: 7, f16: 10 } as const;
export type ElementType = keyof typeof elementTypes;

/** AttributeProto.AttributeType. */
const attributeTypes = { float: 1, int: 2, string: 3, ints: 7 } as const;

export interface TensorMessage {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  /** Little-endian elements. */
  readonly rawData: Uint8Array;
}

export interface ValueMessage {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      /** Absent: of any rank. */
      readonly shape?: { readonly dim: readonly { readonly dimValue: number }[] };
    };
  };
}

export interface AttributeMessage {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly ints?: readonly number[];
}

export interface NodeMessage {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  /** "" where an optional input is left out. */
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeMessage[];
}

export interface GraphMessage {
  readonly name: string;
  readonly node: readonly NodeMessage[];
  readonly initializer: readonly TensorMessage[];
  readonly input: readonly ValueMessage[];
  readonly output: readonly ValueMessage[];
}

/** A number is an int; `{ float }` says otherwise, as 1.0 is a whole number too. */
export type AttributeValue = number | { readonly float: number } | string | readonly number[];

export function attribute(name: string, value: AttributeValue): AttributeMessage {
  if (typeof value === "number") return { name, type: attributeTypes.int, i: value };
  if (typeof value === "string")
    return { name, type: attributeTypes.string, s: new TextEncoder().encode(value) };
  if ("float" in value) return { name, type: attributeTypes.float, f: value.float };
  return { name, type: attributeTypes.ints, ints: value };
}

/** @param shape undefined: any */
export function valueMessage(name: string, type: ElementType, shape?: readonly number[]): ValueMessage {
  const elemType = elementTypes[type];
  if (!shape) return { name, type: { tensorType: { elemType } } };
  const dim = shape.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

const field = (id: number, type: string) => ({ id, type });
const repeated = (id: number, type: string) => ({ id, type, rule: "repeated" });

/** The messages of the ONNX format (onnx.proto), with the fields that are written here and no others. */
const root = protobuf.Root.fromJSON({
  nested: {
    Model: {
      fields: {
        irVersion: field(1, "int64"),
        producerName: field(2, "string"),
        graph: field(7, "Graph"),
        opsetImport: repeated(8, "OperatorSet"),
      },
    },
    OperatorSet: { fields: { domain: field(1, "string"), version: field(2, "int64") } },
    Graph: {
      fields: {
        node: repeated(1, "Node"),
        name: field(2, "string"),
        initializer: repeated(5, "Tensor"),
        input: repeated(11, "ValueInfo"),
        output: repeated(12, "ValueInfo"),
      },
    },
    Node: {
      fields: {
        input: repeated(1, "string"),
        output: repeated(2, "string"),
        name: field(3, "string"),
        opType: field(4, "string"),
        attribute: repeated(5, "Attribute"),
        domain: field(7, "string"),
      },
    },
    Attribute: {
      fields: {
        name: field(1, "string"),
        f: field(2, "float"),
        i: field(3, "int64"),
        s: field(4, "bytes"),
        ints: repeated(8, "int64"),
        type: field(20, "int32"),
      },
    },
    Tensor: {
      fields: {
        dims: repeated(1, "int64"),
        dataType: field(2, "int32"),
        name: field(8, "string"),
        rawData: field(9, "bytes"),
      },
    },
    ValueInfo: { fields: { name: field(1, "string"), type: field(2, "Type") } },
    Type: { fields: { tensorType: field(1, "TensorType") } },
    TensorType: { fields: { elemType: field(1, "int32"), shape: field(2, "Shape") } },
    Shape: { fields: { dim: repeated(1, "Dimension") } },
    Dimension: { fields: { dimValue: field(1, "int64") } },
  },
});
const model = root.lookupType("Model");

/** ONNX's own operators as of version 21, and those that ONNX Runtime adds. */
const operatorSets = [
  { domain: "", version: 21 },
  { domain: "com.microsoft", version: 1 },
];

/** The bytes of an .onnx file. */
export function encodeModel(graph: GraphMessage): Uint8Array {
  const message = { irVersion: 10, producerName: "mask-llava bench", graph, opsetImport: operatorSets };
  const problem = model.verify(message);
  if (problem) throw new TypeError(`ONNX model ${graph.name}: ${problem}`);
  return model.encode(message).finish();
}
