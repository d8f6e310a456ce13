/**
 * JSON as RFC 8259 with unique member names. `JSON.parse` keeps the last of two equal names in silence, so two readers
 * of one file may see different tensors: the text is scanned for that after it is known to be valid.
 */
export class DuplicateKeyError extends Error {
  readonly key: string;
  constructor(key: string) {
    super(`the name ${JSON.stringify(key)} occurs twice in one object`);
    this.name = "DuplicateKeyError";
    this.key = key;
  }
}

/** Parses JSON; throws SyntaxError for invalid text and DuplicateKeyError for a name given twice. */
export function parseStrictJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  checkUniqueKeys(text);
  return value;
}

const quote = 0x22;
const backslash = 0x5c;

function checkUniqueKeys(text: string): void {
  // one entry per open container: its names for an object, undefined for an array
  const open: (Set<string> | undefined)[] = [];
  let keyExpected = false;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        open.push(new Set());
        keyExpected = true;
        break;
      case 0x5b: // [
        open.push(undefined);
        keyExpected = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        keyExpected = false;
        break;
      case 0x2c: // ,
        keyExpected = open.at(-1) !== undefined;
        break;
      case quote: {
        const end = stringEnd(text, i);
        if (keyExpected) {
          const names = open.at(-1) as Set<string>;
          const key = JSON.parse(text.slice(i, end)) as string;
          if (names.has(key)) throw new DuplicateKeyError(key);
          names.add(key);
          keyExpected = false;
        }
        i = end - 1;
        break;
      }
    }
  }
}

/** Index after the closing quote of the string that starts at `start` in valid JSON. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  for (;;) {
    const code = text.charCodeAt(i);
    if (code === quote) return i + 1;
    i += code === backslash ? 2 : 1;
  }
}
