import { ConfigError } from "../checkpoint/errors.ts";
import type { GgufMetadata } from "./metadata.ts";

/**
 * Most UTF-16 units of a piece that others are merged to: SentencePiece makes pieces of 16 characters, and runs of spaces
 * or line ends in vocabularies have a few dozen.
 */
const longestPiece = 1024;

/** Most merges: vocabularies of 256 000 pieces have half a million. */
const mostMerges = 2 ** 21;

/**
 * Merges from scores: SentencePiece joins the neighbours whose piece has the highest score, so that every cut of a piece
 * into two pieces is a merge of its rank. Cuts of one piece come longest left part first, as transformers orders them.
 * @param pieces that text can become, each with its id
 * @param scores of all ids
 * @throws ConfigError for a piece or a number of merges that no vocabulary has: a hostile file's would take hours
 */
export function scoredMerges(
  metadata: GgufMetadata,
  pieces: readonly (readonly [piece: string, id: number])[],
  scores: readonly number[],
): [string, string][] {
  const tooLong = pieces.find(([piece]) => piece.length > longestPiece);
  if (tooLong) {
    const [piece, id] = tooLong;
    throw new ConfigError(
      metadata.file,
      `tokenizer.ggml.tokens[${id}]`,
      "is longer than a piece of text can be",
      { found: `${piece.length} characters`, expected: `at most ${longestPiece}` },
    );
  }
  const known = new Set(pieces.map(([piece]) => piece));
  const hashes = new Set(pieces.map(([piece]) => hashOf(piece)));
  const merges: { left: string; right: string; score: number }[] = [];
  for (const [piece, id] of pieces) {
    for (const cut of likelyCuts(piece, hashes)) {
      const left = piece.slice(0, cut);
      const right = piece.slice(cut);
      if (!known.has(left) || !known.has(right)) continue;
      merges.push({ left, right, score: scores[id] as number });
      if (merges.length > mostMerges) {
        throw new ConfigError(
          metadata.file,
          "tokenizer.ggml.tokens",
          "has more pieces made of two pieces than a vocabulary can have",
          { found: `${merges.length} at token ${id}`, expected: `at most ${mostMerges}` },
        );
      }
    }
  }
  // stable: cuts of one piece, and pieces of one score, keep their order
  return merges.sort((a, b) => b.score - a.score).map(({ left, right }) => [left, right]);
}

/** Of a polynomial in the units of a text, modulo 2^32: one more unit before or behind it takes one step. */
const base = 0x01000193;

function hashOf(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, base) + text.charCodeAt(i)) | 0;
  return hash;
}

/** Where both halves have the hash of a piece, the last place first: all are tried in time linear in the length. */
function likelyCuts(text: string, hashes: ReadonlySet<number>): number[] {
  const starts = new Uint8Array(text.length);
  let hash = 0;
  for (let cut = 1; cut < text.length; cut++) {
    hash = (Math.imul(hash, base) + text.charCodeAt(cut - 1)) | 0;
    if (hashes.has(hash)) starts[cut] = 1;
  }
  const cuts: number[] = [];
  let power = 1;
  hash = 0;
  for (let cut = text.length - 1; cut > 0; cut--) {
    hash = (hash + Math.imul(text.charCodeAt(cut), power)) | 0;
    power = Math.imul(power, base);
    if (starts[cut] && hashes.has(hash)) cuts.push(cut);
  }
  return cuts;
}
