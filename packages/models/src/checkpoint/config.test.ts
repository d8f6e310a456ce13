import { expect, test } from "vitest";
import { z } from "zod";
import { parseConfig } from "./config.ts";
import { ConfigError } from "./errors.ts";

const schema = z.object({
  hidden_size: z.int().positive(),
  hidden_act: z.enum(["gelu", "quick_gelu"]),
  rope: z.union([z.null(), z.object({ type: z.literal("llama3"), factor: z.number() })]).optional(),
  layers: z.array(z.object({ size: z.number().max(8) })).default([]),
});

const good = { hidden_size: 8, hidden_act: "gelu", extra: true };

test("gives the parsed value with defaults", () => {
  expect(parseConfig(schema, good, "config.json")).toEqual({
    hidden_size: 8,
    hidden_act: "gelu",
    layers: [],
  });
});

test.each([
  [
    "missing field",
    { hidden_act: "gelu" },
    "hidden_size",
    /config\.json: hidden_size: is missing.*expected (number|int)/,
  ],
  ["wrong type", { ...good, hidden_size: "8" }, "hidden_size", /found "8"/],
  ["out of range", { ...good, hidden_size: 0 }, "hidden_size", /found 0, expected more than 0/],
  ["fraction", { ...good, hidden_size: 1.5 }, "hidden_size", /found 1\.5, expected int/],
  [
    "unknown value",
    { ...good, hidden_act: "relu" },
    "hidden_act",
    /found "relu", expected "gelu" or "quick_gelu"/,
  ],
  [
    "in a list",
    { ...good, layers: [{ size: 1 }, { size: 9 }] },
    "layers[1].size",
    /found 9, expected at most 8/,
  ],
  [
    "in a union",
    { ...good, rope: { type: "yarn", factor: 2 } },
    "rope.type",
    /found "yarn", expected "llama3"/,
  ],
  ["not an object", [], "", /^config\.json: .*found \[\], expected object/],
  ["null", null, "", /found null/],
  ["several", { hidden_size: -1, hidden_act: 3 }, "hidden_size", /and 1 more/],
] as [string, unknown, string, RegExp][])("%s", (_, json, field, message) => {
  let error: unknown;
  try {
    parseConfig(schema, json, "config.json");
  } catch (e) {
    error = e;
  }
  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toMatchObject({ file: "config.json", field, code: "CONFIG" });
  expect((error as Error).message).toMatch(message);
});
