import type { z } from "zod";
import { ConfigError, describe } from "./errors.ts";

/**
 * `json` as `schema` has it. The first issue becomes a ConfigError with the field's path, what was found there and what was
 * expected (of a refinement's own issue: `params.expected`); further issues are counted in the message.
 */
export function parseConfig<S extends z.ZodType>(schema: S, json: unknown, file: string): z.output<S> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0] as z.core.$ZodIssue);
  const more = result.error.issues.length - 1;
  const found = describe(lookUp(json, issue.path));
  const field = issue.path.map((p) => (typeof p === "number" ? `[${p}]` : String(p))).join(".");
  throw new ConfigError(
    file,
    field.replaceAll(".[", "["),
    `${found === "nothing" ? "is missing" : issue.message}${more ? `, and ${more} more` : ""}`,
    { found, expected: expectation(issue) },
  );
}

/** The branch of a failed union that got farthest says most. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const branches = issue.errors.flatMap((branch) => branch.slice(0, 1)).map(deepest);
  const best = branches.reduce<z.core.$ZodIssue | undefined>(
    (a, b) => (a && a.path.length >= b.path.length ? a : b),
    undefined,
  );
  return best?.path.length ? { ...best, path: [...issue.path, ...best.path] } : issue;
}

function lookUp(json: unknown, path: readonly PropertyKey[]): unknown {
  let value = json;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function expectation(issue: z.core.$ZodIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return issue.expected;
    case "invalid_value":
      return issue.values.map((v) => describe(v)).join(" or ");
    case "too_small":
      return `${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}`;
    case "too_big":
      return `${issue.inclusive === false ? "less than" : "at most"} ${issue.maximum}`;
    case "unrecognized_keys":
      return `no field ${issue.keys.join(", ")}`;
    case "custom":
      return typeof issue.params?.expected === "string" ? issue.params.expected : undefined;
    default:
      return undefined;
  }
}
