/** SHA-256 of byte arrays and text, as hex: names a picture by its content. */
export async function contentHash(parts: readonly (Uint8Array | string)[]): Promise<string> {
  const encoder = new TextEncoder();
  const chunks = parts.map((p) => (typeof p === "string" ? encoder.encode(p) : p));
  const all = new Uint8Array(chunks.reduce((n, c) => n + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** How much is remembered. */
export interface RecentLimits {
  readonly most: number;
  /** Of all results together; the latest one stays whatever its size. */
  readonly bytes: number;
}

interface Remembered<T> {
  readonly made: Promise<T>;
  /** 0 until it is there. */
  bytes: number;
}

/** The last few results by key, those asked for longest ago forgotten first; a result that failed is forgotten at once. */
export class RecentResults<T> {
  readonly #results = new Map<string, Remembered<T>>();
  readonly #limits: RecentLimits;
  readonly #bytesOf: (result: T) => number;

  constructor(limits: RecentLimits, bytesOf: (result: T) => number) {
    this.#limits = limits;
    this.#bytesOf = bytesOf;
  }

  get(key: string, make: () => Promise<T>): Promise<T> {
    const known = this.#results.get(key);
    const result = known ?? { made: make(), bytes: 0 };
    this.#results.delete(key);
    this.#results.set(key, result);
    if (known) return known.made;
    result.made.then(
      (value) => {
        result.bytes = this.#bytesOf(value);
        this.#forget();
      },
      () => {
        if (this.#results.get(key) === result) this.#results.delete(key);
      },
    );
    this.#forget();
    return result.made;
  }

  #forget(): void {
    let bytes = [...this.#results.values()].reduce((sum, result) => sum + result.bytes, 0);
    for (const [key, result] of this.#results) {
      const { size } = this.#results;
      if (size === 1 || (size <= this.#limits.most && bytes <= this.#limits.bytes)) return;
      this.#results.delete(key);
      bytes -= result.bytes;
    }
  }
}
