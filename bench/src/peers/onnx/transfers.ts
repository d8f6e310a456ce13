import {
  type ElementType,
  elementTypes,
  encodeModel,
  type NodeMessage,
  type TensorMessage,
  valueMessage,
} from "./messages.ts";

const node = (opType: string, input: readonly string[], output: string): NodeMessage => ({
  name: opType,
  opType,
  domain: "",
  input,
  output: [output],
  attribute: [],
});

const indices = (name: string, value: number): TensorMessage => ({
  name,
  dims: [1],
  dataType: elementTypes.i64,
  rawData: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
});

function model(
  type: ElementType,
  nodes: readonly NodeMessage[],
  initializer: readonly TensorMessage[],
): Uint8Array {
  return encodeModel({
    name: "transfer",
    node: nodes,
    initializer,
    input: [valueMessage("x", type)],
    output: [valueMessage("y", type)],
  });
}

/** x of any shape -> y, the same: carries values to and from the GPU. */
export function copyModel(type: ElementType): Uint8Array {
  return model(type, [node("Identity", ["x"], "y")], []);
}

/** x of any shape -> y, its first element: reading that waits for everything that was submitted before. */
export function firstElementModel(type: ElementType): Uint8Array {
  return model(
    type,
    [node("Reshape", ["x", "all"], "flat"), node("Slice", ["flat", "zero", "one"], "y")],
    [indices("all", -1), indices("zero", 0), indices("one", 1)],
  );
}
