/** Makes broken checkpoints and pictures of good ones. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { fixture } from "./support.ts";

/** Changes a file of a checkpoint; undefined takes it away. */
export type Change = (before: Buffer) => Uint8Array | string | undefined;

/** Copies the checkpoint files of a fixture into `folder`, with some changed. A changed file may be new. */
export function brokenModel(name: string, folder: string, changes: Readonly<Record<string, Change>>): string {
  const model = join(folder, "model");
  mkdirSync(model);
  const isCheckpoint = (file: string) =>
    /\.(json|jinja|safetensors)$/.test(file) && !file.startsWith("expect.");
  for (const file of readdirSync(fixture(name)).filter(isCheckpoint)) {
    if (!(file in changes)) cpSync(fixture(name, file), join(model, file));
  }
  for (const [file, change] of Object.entries(changes)) {
    const source = fixture(name, file);
    const exists = readdirSync(fixture(name)).includes(file);
    const content = change(exists ? readFileSync(source) : Buffer.alloc(0));
    if (content !== undefined) writeFileSync(join(model, file), content);
  }
  return model;
}

/** Changes parsed JSON in place. */
export function json(edit: (value: Record<string, unknown>) => void): Change {
  return (before) => {
    const value = JSON.parse(before.toString("utf8")) as Record<string, unknown>;
    edit(value);
    return JSON.stringify(value);
  };
}

/** Sets a field by its path. */
export function set(path: string, to: unknown): Change {
  return json((value) => {
    const keys = path.split(".");
    const last = keys.pop() as string;
    let at: Record<string, unknown> = value;
    for (const key of keys) at = at[key] as Record<string, unknown>;
    if (to === undefined) delete at[last];
    else at[last] = to;
  });
}

export interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Changes a safetensors header; the data stays as it is, unless `edit` returns other. */
export function header(edit: (entries: Record<string, Entry>, data: Buffer) => Buffer | undefined): Change {
  return (before) => {
    const length = Number(before.readBigUInt64LE(0));
    const entries = JSON.parse(before.toString("utf8", 8, 8 + length)) as Record<string, Entry>;
    const data = before.subarray(8 + length);
    const changed = edit(entries, data) ?? data;
    return safetensors(JSON.stringify(entries), changed);
  };
}

/** A file of this header text and data. */
export function safetensors(text: string, data: Uint8Array): Buffer {
  const head = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  return Buffer.concat([length, head, data]);
}

/** Makes the first value of an F32 tensor NaN. */
export function notANumber(name: string): Change {
  return header((entries, data) => {
    const copy = Buffer.from(data);
    copy.writeFloatLE(Number.NaN, entry(entries, name).data_offsets[0]);
    return copy;
  });
}

/** An entry that must be there. */
export function entry(entries: Readonly<Record<string, Entry>>, name: string): Entry {
  const found = entries[name];
  if (!found) throw new Error(`the fixture has no tensor ${name}`);
  return found;
}

/** A PNG whose header promises `width` x `height` grey pixels, with hardly any data. */
export function pngClaiming(width: number, height: number): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(Buffer.alloc(1000))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** CRC-32 of the PNG specification, annex D; Node's own came late in version 20. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** Takes the file away. */
export const gone: Change = () => undefined;
