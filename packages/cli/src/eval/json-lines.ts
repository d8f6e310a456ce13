import { readFile } from "node:fs/promises";
import { ConfigError, parseConfig } from "@mask-llava/models";
import type { z } from "zod";

/** Text of a file that must be there. @throws ConfigError */
export async function requireText(file: string): Promise<string> {
  return readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    const missing = error.code === "ENOENT" || error.code === "ENOTDIR";
    throw new ConfigError(file, "", missing ? "there is no such file" : `cannot be read: ${error.message}`);
  });
}

/** JSON text. @throws ConfigError naming `where` */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(where, "", `not valid JSON (${(error as Error).message})`);
  }
}

/**
 * Lines of a JSONL file as `schema` has them, blank ones left out, each with its place `FILE:LINE`.
 * @throws ConfigError naming file, line and field
 */
export function parseJsonLines<S extends z.ZodType>(
  text: string,
  schema: S,
  file: string,
): { readonly where: string; readonly value: z.output<S> }[] {
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const where = `${file}:${i + 1}`;
    return [{ where, value: parseConfig(schema, parseJson(line, where), where) }];
  });
}
