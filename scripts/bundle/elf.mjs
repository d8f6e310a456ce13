import { BundleError } from "./errors.mjs";

// Layout of ELF files: elf(5); of symbol versions: the LSB's "Symbol Versioning".
const segmentTypes = { load: 1, dynamic: 2 };
const tags = {
  strings: 5,
  symbols: 6,
  gnuHash: 0x6ffffef5,
  versionOfSymbol: 0x6ffffff0,
  needs: 0x6ffffffe,
  needsCount: 0x6fffffff,
};

/** A program or library for 64-bit x86. Throws a BundleError that calls it `name` where `bytes` are something else. */
export class Elf {
  #bytes;
  #segments;

  constructor(bytes, name) {
    const magic = "7f454c460201"; // ELF, 64 bits, little-endian
    const machine = 62; // x86-64
    if (bytes.subarray(0, 6).toString("hex") !== magic || bytes.readUInt16LE(18) !== machine) {
      throw new BundleError(`${name} is no program or library for x86-64 Linux`);
    }
    this.#bytes = bytes;
    this.#segments = this.#readSegments();
  }

  static is(bytes) {
    return bytes.subarray(0, 4).toString("latin1") === "\x7fELF";
  }

  /**
   * The part that running it reads: sections, among them symbol tables and debugging data, serve linkers and debuggers only, and
   * are put at the end where they are not loaded. It ends with the last segment and says that it has no sections.
   */
  withoutSections() {
    const ends = this.#segments.map(({ offset, size }) => offset + size);
    const kept = Buffer.from(this.#bytes.subarray(0, Math.max(this.#headersEnd(), ...ends)));
    kept.writeBigUInt64LE(0n, 40); // where the table of sections starts
    kept.writeUInt16LE(0, 60); // how many there are
    kept.writeUInt16LE(0, 62); // which of them has their names
    return kept;
  }

  /** The versions of other libraries' symbols that it needs, such as `GLIBC_2.34`. */
  neededVersions() {
    return this.#needs().map(({ version }) => version);
  }

  /**
   * The same file, but for needing `symbol` in the version `older` in place of `version`, where it is the only one needed in that
   * version and others are needed in `older`. Else, as it is.
   */
  withOlderSymbol(symbol, version, older) {
    const needs = this.#needs();
    const from = needs.find((need) => need.version === version);
    const to = needs.find((need) => need.version === older);
    if (!from || !to || this.#symbolsOf(from.index).join() !== symbol) return this.#bytes;
    const changed = Buffer.from(this.#bytes);
    changed.writeUInt32LE(changed.readUInt32LE(to.at), from.at); // the name's hash
    changed.writeUInt32LE(changed.readUInt32LE(to.at + 8), from.at + 8); // and place
    return changed;
  }

  #number(at) {
    return Number(this.#bytes.readBigUInt64LE(at));
  }

  #headersEnd() {
    return this.#number(32) + this.#bytes.readUInt16LE(54) * this.#bytes.readUInt16LE(56);
  }

  #readSegments() {
    const [first, size, count] = [
      this.#number(32),
      this.#bytes.readUInt16LE(54),
      this.#bytes.readUInt16LE(56),
    ];
    return Array.from({ length: count }, (_, i) => {
      const at = first + i * size;
      const [type, offset] = [this.#bytes.readUInt32LE(at), this.#number(at + 8)];
      return { type, offset, address: this.#number(at + 16), size: this.#number(at + 32) };
    });
  }

  /** Where in the file the dynamic section's entry of this kind points to; undefined without one. */
  #place(tag) {
    const address = this.#dynamic(tag);
    const segment = this.#segments.find(
      (each) =>
        each.type === segmentTypes.load && address >= each.address && address < each.address + each.size,
    );
    return segment && address - segment.address + segment.offset;
  }

  #dynamic(tag) {
    const section = this.#segments.find(({ type }) => type === segmentTypes.dynamic);
    for (let at = section?.offset; at < section?.offset + section?.size; at += 16) {
      if (this.#number(at) === tag) return this.#number(at + 8);
    }
    return undefined;
  }

  #text(offset) {
    const from = this.#place(tags.strings) + offset;
    return this.#bytes.toString("latin1", from, this.#bytes.indexOf(0, from));
  }

  /** Every needed version: its number in the table of symbols' versions, and where in the file it is asked for. */
  #needs() {
    const found = [];
    let library = this.#place(tags.needs);
    for (let i = 0; i < (this.#dynamic(tags.needsCount) ?? 0); i++) {
      let at = library + this.#bytes.readUInt32LE(library + 8);
      for (let j = 0; j < this.#bytes.readUInt16LE(library + 2); j++) {
        const version = this.#text(this.#bytes.readUInt32LE(at + 8));
        found.push({ version, index: this.#bytes.readUInt16LE(at + 6), at });
        at += this.#bytes.readUInt32LE(at + 12);
      }
      library += this.#bytes.readUInt32LE(library + 12);
    }
    return found;
  }

  /** Names of the undefined symbols of a version. They come before those that the hash table finds. */
  #symbolsOf(index) {
    const [symbols, versions] = [this.#place(tags.symbols), this.#place(tags.versionOfSymbol)];
    const defined = this.#bytes.readUInt32LE(this.#place(tags.gnuHash) + 4);
    const names = [];
    for (let i = 1; i < defined; i++) {
      if (this.#bytes.readUInt16LE(versions + 2 * i) !== index) continue;
      names.push(this.#text(this.#bytes.readUInt32LE(symbols + 24 * i)));
    }
    return names;
  }
}

/** The highest minor of the versions `set.minor` among `versions`, such as 34 of GLIBC_2; 0 where there are none. */
export function newestMinor(versions, set) {
  const minors = versions
    .filter((each) => each.startsWith(`${set}.`))
    .map((each) => each.slice(set.length + 1));
  return Math.max(0, ...minors.map((minor) => Number.parseInt(minor, 10)));
}
