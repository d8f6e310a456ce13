interface Kept extends Disposable {
  /** Of GPU memory. */
  readonly bytes: number;
}

/**
 * Keeps what is expensive to make, by key, within a number of bytes; there may be several of a key. What was put back first goes
 * first.
 */
export class ByteCache<T extends Kept> implements Disposable {
  readonly #most: number;
  readonly #kept: { readonly key: string; readonly value: T }[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Takes out one that is kept under a key: it is the caller's until it is put back. */
  take(key: string): T | undefined {
    const at = this.#kept.findIndex((kept) => kept.key === key);
    return at < 0 ? undefined : this.#kept.splice(at, 1)[0]?.value;
  }

  put(key: string, value: T): void {
    this.#kept.push({ key, value });
    let bytes = this.#kept.reduce((sum, kept) => sum + kept.value.bytes, 0);
    while (bytes > this.#most && this.#kept.length > 1) {
      const oldest = this.#kept.shift()?.value;
      bytes -= oldest?.bytes ?? 0;
      oldest?.[Symbol.dispose]();
    }
  }

  dispose(): void {
    for (const { value } of this.#kept.splice(0)) value[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
