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

/** The last few results by key; a result that failed is forgotten. */
export class RecentResults<T> {
  readonly #results = new Map<string, Promise<T>>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  get(key: string, make: () => Promise<T>): Promise<T> {
    const known = this.#results.get(key);
    if (known) {
      this.#results.delete(key);
      this.#results.set(key, known);
      return known;
    }
    const made = make();
    this.#results.set(key, made);
    made.catch(() => this.#results.delete(key));
    const oldest = this.#results.keys().next();
    if (this.#results.size > this.#most && !oldest.done) this.#results.delete(oldest.value);
    return made;
  }
}
