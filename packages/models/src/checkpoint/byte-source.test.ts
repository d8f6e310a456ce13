import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { FileFolder, FileSource, saveSafetensors } from "../node/file-source.ts";
import { type ByteSource, HttpSource, MemorySource } from "./byte-source.ts";
import { CheckpointError, ConfigError } from "./errors.ts";
import { type Folder, HttpFolder, MemoryFolder, readJson, readText, requireJson } from "./folder.ts";
import { readSafetensors } from "./safetensors.ts";

const content = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) & 255);
const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const f of cleanUp.splice(0)) await f();
});

async function serve(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp.push(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/x`;
}

const ranges: RequestListener = (request, response) => {
  if (request.url !== "/models/x/dir/a%20b.bin") return response.writeHead(404).end("no");
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const from = Number(first);
  const to = Math.min(Number(last), content.length - 1);
  response.writeHead(206, { "Content-Range": `bytes ${from}-${to}/${content.length}` });
  response.end(content.subarray(from, to + 1));
};

async function folderOnDisk(files: Record<string, Uint8Array>): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), "mask-llava-test-"));
  cleanUp.push(() => rm(dir, { recursive: true }));
  for (const [name, bytes] of Object.entries(files)) await writeFile(path.join(dir, name), bytes);
  return dir;
}

async function opened(source: Promise<ByteSource | undefined>): Promise<ByteSource> {
  const s = await source;
  if (!s) throw new Error("absent");
  if (s.close) cleanUp.push(() => s.close?.() as Promise<void>);
  return s;
}

describe.each([
  ["memory", async () => new MemorySource("f", content)],
  ["file", async () => opened(FileSource.open(path.join(await folderOnDisk({ f: content }), "f")))],
  ["HTTP", async () => opened(new HttpFolder(await serve(ranges)).open("dir/a b.bin"))],
] as [string, () => Promise<ByteSource>][])("%s source", (_, make) => {
  test("reads ranges, into a reused buffer too", async () => {
    const source = await make();
    expect(await source.size()).toBe(1000);
    expect(await source.read(0, 1000)).toEqual(content);
    expect(await source.read(999, 1)).toEqual(content.subarray(999));
    expect(await source.read(1000, 0)).toHaveLength(0);
    const buffer = new Uint8Array(64);
    const view = await source.read(100, 40, buffer);
    expect(view.buffer).toBe(buffer.buffer);
    expect(view).toEqual(content.subarray(100, 140));
    expect(buffer.subarray(40)).toEqual(new Uint8Array(24));
    const parts = await Promise.all([0, 1, 2, 3].map((i) => source.read(i * 250, 250)));
    expect(parts.flatMap((p) => [...p])).toEqual([...content]);
  });

  test("refuses what lies outside", async () => {
    const source = await make();
    await expect(source.read(999, 2)).rejects.toThrow(CheckpointError);
    await expect(source.read(2 ** 52, 1)).rejects.toThrow(/ends early/);
    await expect(source.read(-1, 1)).rejects.toThrow(RangeError);
    await expect(source.read(0, 10, new Uint8Array(9))).rejects.toThrow(RangeError);
  });
});

describe("HTTP answers that are not usable", () => {
  const bodies: [string, RequestListener, RegExp][] = [
    [
      "200 with the whole file",
      (_, r) => r.writeHead(200).end(content),
      /does not serve byte ranges.*status 200/,
    ],
    ["206 without Content-Range", (_, r) => r.writeHead(206).end("x"), /Content-Range: none/],
    ["500", (_, r) => r.writeHead(500).end(), /status 500/],
    ["another range", (_, r) => r.writeHead(206, { "Content-Range": "bytes 1-1/1000" }).end("x"), /unusable/],
    ["unknown size", (_, r) => r.writeHead(206, { "Content-Range": "bytes 0-0/*" }).end("x"), /unusable/],
  ];
  test.each(bodies)("%s", async (_, listener, message) => {
    const folder = new HttpFolder(await serve(listener));
    const error = await folder.open("f").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toMatch(message);
  });

  test.each([
    ["short body", 5, "bytes 10-19/1000", /another length.*found 5 bytes, expected 10/],
    ["long body", 11, "bytes 10-19/1000", /another length/],
    ["shifted range", 10, "bytes 11-20/1000", /another range/],
    ["changed size", 10, "bytes 10-19/999", /another range/],
  ] as [string, number, string, RegExp][])("%s", async (_, length, header, message) => {
    let first = true;
    const url = await serve((_request, response) => {
      response.writeHead(206, { "Content-Range": first ? "bytes 0-0/1000" : header });
      response.end(first ? content.subarray(0, 1) : content.subarray(10, 10 + length));
      first = false;
    });
    const source = await opened(new HttpFolder(url).open("f"));
    await expect(source.read(10, 10)).rejects.toThrow(message);
  });

  test.each([
    ["an empty", "", /another length.*found 0 bytes, expected 1/],
    ["a longer", "xy", /another length/],
  ])("%s body for the first byte", async (_, body, message) => {
    const url = await serve((_request, response) => {
      response.writeHead(206, { "Content-Range": "bytes 0-0/1000" }).end(body);
    });
    await expect(new HttpFolder(url).open("f")).rejects.toThrow(message);
  });

  test("a body without an end for the first byte is not read on", async () => {
    let [sent, cancelled] = [0, false];
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (++sent > 100) controller.error(new Error("it was read on"));
        else controller.enqueue(new Uint8Array(1000));
      },
      cancel() {
        cancelled = true;
      },
    });
    const headers = { "Content-Range": "bytes 0-0/1000" };
    const get = async () => new Response(endless, { status: 206, headers });
    await expect(HttpSource.open("f", "http://server/f", get)).rejects.toThrow(/another length/);
    expect(cancelled).toBe(true);
  });

  test("absent file, no server, abort", async () => {
    const url = await serve(ranges);
    expect(await new HttpFolder(url).open("other")).toBeUndefined();
    await expect(new HttpFolder("http://127.0.0.1:1/").open("f")).rejects.toThrow(/cannot be fetched/);
    const signal = AbortSignal.abort(new Error("stop"));
    await expect(new HttpFolder(url, { signal }).open("dir/a b.bin")).rejects.toThrow("stop");
  });
});

describe("folders", () => {
  const kinds: [string, () => Promise<Folder>][] = [
    ["memory", async () => new MemoryFolder({ "c.json": new TextEncoder().encode('{"a": 1}') })],
    [
      "disk",
      async () => FileFolder.open(await folderOnDisk({ "c.json": new TextEncoder().encode('{"a": 1}') })),
    ],
  ];
  test.each(kinds)("%s: json, absent files, names that escape", async (_, make) => {
    const folder = await make();
    expect(await readJson(folder, "c.json")).toEqual({ a: 1 });
    expect(await readJson(folder, "d.json")).toBeUndefined();
    expect(await readText(folder, "c.json/x")).toBeUndefined();
    await expect(requireJson(folder, "d.json")).rejects.toThrow(/d\.json: is missing from/);
    const names = [
      "../c.json",
      "/etc/passwd",
      "a/../../b",
      "a\\..\\b",
      "",
      ".",
      "a//b",
      "file:///x",
      "C:x",
      "a\0b",
    ];
    for (const name of names) {
      await expect((async () => folder.open(name))(), name).rejects.toThrow(/must stay within/);
    }
  });

  test.each([
    ["not UTF-8", new Uint8Array([0x22, 0xff, 0x22]), /not valid UTF-8/],
    ["not JSON", new TextEncoder().encode("{"), /not valid JSON/],
    ["a name twice", new TextEncoder().encode('{"a":[{"b":1,"b":2}]}'), /"b" occurs twice/],
  ] as [string, Uint8Array, RegExp][])("json that is %s", async (_, bytes, message) => {
    const error = await readJson(new MemoryFolder({ f: bytes }), "f").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toMatch(message);
  });

  test("a folder that is absent or a file; a file that is a folder; a symbolic link", async () => {
    const dir = await folderOnDisk({ f: content });
    await expect(FileFolder.open(path.join(dir, "none"))).rejects.toThrow(/no such folder/);
    await expect(FileFolder.open(path.join(dir, "f"))).rejects.toThrow(/is not a folder/);
    await expect(FileSource.open(dir)).rejects.toThrow(/is not a file/);
    await symlink(path.join(dir, "f"), path.join(dir, "link"));
    const link = await opened((await FileFolder.open(dir)).open("link"));
    expect(await link.read(0, 3)).toEqual(content.subarray(0, 3));
  });

  test("saveSafetensors replaces a file whole and leaves nothing else", async () => {
    const dir = await folderOnDisk({ "t.safetensors": content });
    const file = path.join(dir, "t.safetensors");
    const data = Float32Array.from({ length: 30 }, (_, i) => i - 7.5);
    await saveSafetensors(file, {
      x: { shape: [5, 6], data },
      y: { shape: [3], data: new Uint8Array([1, 2, 3]) },
    });
    const source = await opened(FileSource.open(file));
    const x = (await readSafetensors(source)).tensors.get("x");
    const bytes = await source.read(x?.begin ?? 0, 120);
    expect(new Float32Array(bytes.slice().buffer)).toEqual(data);
    expect(await readdir(dir)).toEqual(["t.safetensors"]);
    await expect(saveSafetensors(path.join(dir, "no", "t"), {})).rejects.toThrow(/cannot be written/);
  });
});
