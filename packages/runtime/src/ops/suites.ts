import type { OpSuite } from "../op-case.ts";
import { binarySuite } from "./binary/cases.ts";
import { matmulSuite } from "./matmul/cases.ts";

/** Every op with its cases: read by the conformance test and by the benchmark. */
export const suites: readonly OpSuite[] = [binarySuite, matmulSuite];
