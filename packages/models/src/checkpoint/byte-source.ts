import { CheckpointError } from "./errors.ts";

/** Random access to the bytes of one file, wherever it lives. */
export interface ByteSource {
  /** Name for messages: path or URL within the checkpoint. */
  readonly name: string;
  /** Bytes in the file. */
  size(): Promise<number>;
  /**
   * Exactly `length` bytes from `offset`, or a CheckpointError where the file is shorter. With `into` (at least `length`
   * bytes) the bytes are put there and the result is a view of it; otherwise the result may be a view of the source and must
   * not be written to.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Releases handles; reading later is an error. */
  close?(): Promise<void>;
}

/** Throws unless [offset, offset + length) lies within a file of `size` bytes and `into`, if given, can hold it. */
export function checkRange(
  name: string,
  offset: number,
  length: number,
  size: number,
  into?: Uint8Array,
): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    throw new RangeError(`${name}: read of ${length} bytes at ${offset}`);
  }
  if (offset + length > size) {
    throw new CheckpointError("the file ends early", {
      file: name,
      found: `${size} bytes`,
      expected: `at least ${offset + length}`,
    });
  }
  if (into && into.byteLength < length) {
    throw new RangeError(`${name}: a buffer of ${into.byteLength} bytes cannot take ${length}`);
  }
}

/** A file that is already in memory. */
export class MemorySource implements ByteSource {
  readonly name: string;
  readonly #bytes: Uint8Array;

  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.#bytes = bytes;
  }

  size(): Promise<number> {
    return Promise.resolve(this.#bytes.byteLength);
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    checkRange(this.name, offset, length, this.#bytes.byteLength, into);
    const bytes = this.#bytes.subarray(offset, offset + length);
    if (!into) return bytes;
    into.set(bytes);
    return into.subarray(0, length);
  }
}

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** A file behind HTTP, read by byte ranges. The server must honour `Range` (RFC 9110, section 14). */
export class HttpSource implements ByteSource {
  readonly name: string;
  readonly #url: string;
  readonly #fetch: Fetch;
  #size: number;
  readonly #signal: AbortSignal | undefined;

  private constructor(name: string, url: string, size: number, get: Fetch, signal: AbortSignal | undefined) {
    this.name = name;
    this.#url = url;
    this.#size = size;
    this.#fetch = get;
    this.#signal = signal;
  }

  /** Asks for the first byte to learn the size; undefined where the server answers 404. */
  static async open(
    name: string,
    url: string,
    get: Fetch = fetch,
    signal?: AbortSignal,
  ): Promise<HttpSource | undefined> {
    const response = await request(get, name, url, "bytes=0-0", signal);
    if (response.status === 404) {
      await response.body?.cancel();
      return undefined;
    }
    if (response.status === 416) {
      await response.body?.cancel();
      return new HttpSource(name, url, 0, get, signal);
    }
    const range = await partial(response, name);
    if (range.first !== 0 || range.last !== 0 || range.size === undefined) {
      await response.body?.cancel();
      throw new CheckpointError("the server's answer to a range request is unusable", {
        file: name,
        found: `Content-Range: ${response.headers.get("content-range")}`,
        expected: "bytes 0-0/SIZE",
      });
    }
    await fill(response, new Uint8Array(1), name);
    return new HttpSource(name, url, range.size, get, signal);
  }

  size(): Promise<number> {
    return Promise.resolve(this.#size);
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    checkRange(this.name, offset, length, this.#size, into);
    const target = into ? into.subarray(0, length) : new Uint8Array(length);
    if (length === 0) return target;
    const last = offset + length - 1;
    const response = await request(
      this.#fetch,
      this.name,
      this.#url,
      `bytes=${offset}-${last}`,
      this.#signal,
    );
    const range = await partial(response, this.name);
    if (range.first !== offset || range.last !== last || (range.size ?? this.#size) !== this.#size) {
      await response.body?.cancel();
      throw new CheckpointError("the server sent another range than the one asked for", {
        file: this.name,
        found: `Content-Range: ${response.headers.get("content-range")}`,
        expected: `bytes ${offset}-${last}/${this.#size}`,
      });
    }
    await fill(response, target, this.name);
    return target;
  }
}

async function request(
  get: Fetch,
  name: string,
  url: string,
  range: string,
  signal: AbortSignal | undefined,
): Promise<Response> {
  try {
    // identity: a compressed body would make the byte range one of the compressed form
    return await get(url, {
      headers: { Range: range, "Accept-Encoding": "identity" },
      ...(signal ? { signal } : {}),
    });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new CheckpointError(`cannot be fetched: ${(cause as Error).message}`, { file: name }, { cause });
  }
}

async function partial(
  response: Response,
  name: string,
): Promise<{ first: number; last: number; size: number | undefined }> {
  const header = response.headers.get("content-range");
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header ?? "");
  if (response.status !== 206 || !match) {
    await response.body?.cancel();
    throw new CheckpointError("the server does not serve byte ranges", {
      file: name,
      found: `status ${response.status}, Content-Range: ${header ?? "none"}`,
      expected: "status 206 with a Content-Range",
    });
  }
  return {
    first: Number(match[1]),
    last: Number(match[2]),
    size: match[3] === "*" ? undefined : Number(match[3]),
  };
}

/** Streams the body into `target`, which it must fill exactly; no more of a longer body is awaited. */
async function fill(response: Response, target: Uint8Array, name: string): Promise<void> {
  const wrongLength = (found: number) =>
    new CheckpointError("the server's body has another length than its Content-Range", {
      file: name,
      found: `${found} bytes`,
      expected: `${target.byteLength}`,
    });
  if (!response.body) throw wrongLength(0);
  const reader = response.body.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.byteLength > target.byteLength) {
      await reader.cancel();
      throw wrongLength(at + value.byteLength);
    }
    target.set(value, at);
    at += value.byteLength;
  }
  if (at !== target.byteLength) throw wrongLength(at);
}
