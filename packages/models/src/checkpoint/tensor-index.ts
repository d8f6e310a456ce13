import type { ByteSource } from "./byte-source.ts";
import { CheckpointError, describe } from "./errors.ts";
import { checkFileName, type Folder, readJson, type TensorFiles } from "./folder.ts";
import { joinPlanes } from "./quantized-tensors.ts";
import { readSafetensors } from "./safetensors.ts";
import { isStoredQuantized, type StoredTensor } from "./stored-tensor.ts";

/**
 * One rule of a renaming table: stored names that match `from` are known as `to` (with `$1`… for groups). A string `from` is a
 * prefix. Rules apply in order, each to the result of those before it.
 */
export interface RenameRule {
  readonly from: RegExp | string;
  readonly to: string;
}

/** `name` after all rules. */
export function rename(name: string, rules: readonly RenameRule[]): string {
  return rules.reduce((n, { from, to }) => {
    if (typeof from !== "string") return n.replace(from, to);
    return n.startsWith(from) ? to + n.slice(from.length) : n;
  }, name);
}

/**
 * The tensors of a checkpoint folder by the names that networks ask for, from headers alone: `model.safetensors`, or else
 * the shards of `model.safetensors.index.json`.
 */
export class TensorIndex implements AsyncDisposable {
  /** Folder name, for messages. */
  readonly name: string;
  /** By canonical name, in file order. `StoredTensor.name` is the name in the file. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;

  readonly #sources: readonly ByteSource[];

  private constructor(name: string, files: TensorFiles, tensors: ReadonlyMap<string, StoredTensor>) {
    this.name = name;
    this.tensors = tensors;
    this.metadata = files.metadata;
    this.#sources = files.sources;
  }

  /**
   * Opens all files and validates all headers.
   * @param options.rename table from stored names (older or current Hugging Face ones) to those that the network asks for
   * @param options.stem file name without extension; Hugging Face's is `model`
   */
  static async open(
    folder: Folder,
    options: { rename?: readonly RenameRule[]; stem?: string } = {},
  ): Promise<TensorIndex> {
    const files = (await folder.tensors?.()) ?? (await openSafetensors(folder, options.stem ?? "model"));
    try {
      return new TensorIndex(folder.name, files, canonicalNames(files.tensors, options.rename ?? []));
    } catch (error) {
      await closeAll(files.sources);
      throw error;
    }
  }

  /** Whether any weights were quantised before they were stored. */
  get quantized(): boolean {
    return [...this.tensors.values()].some(({ dtype }) => isStoredQuantized(dtype));
  }

  /** Closes the files. */
  async close(): Promise<void> {
    await closeAll(this.#sources);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function closeAll(sources: readonly ByteSource[]): Promise<void> {
  await Promise.all(sources.map((s) => s.close?.()));
}

function canonicalNames(
  stored: ReadonlyMap<string, StoredTensor>,
  rules: readonly RenameRule[],
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of stored) {
    const canonical = rename(name, rules);
    const twin = tensors.get(canonical);
    if (twin) {
      throw new CheckpointError(
        `stands for ${JSON.stringify(canonical)}, and so does ${JSON.stringify(twin.name)}`,
        { file: tensor.source.name, tensor: tensor.name },
      );
    }
    tensors.set(canonical, tensor);
  }
  return tensors;
}

async function openSafetensors(folder: Folder, stem: string): Promise<TensorFiles> {
  const single = `${stem}.safetensors`;
  const sources: ByteSource[] = [];
  try {
    return (
      (await openSingle(folder, single, sources)) ??
      (await openShards(folder, `${single}.index.json`, single, sources))
    );
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
}

async function openSingle(
  folder: Folder,
  name: string,
  sources: ByteSource[],
): Promise<TensorFiles | undefined> {
  const source = await folder.open(name);
  if (!source) return undefined;
  sources.push(source);
  const header = await readSafetensors(source);
  return { tensors: joinPlanes(header, name), metadata: header.metadata, sources };
}

async function openShards(
  folder: Folder,
  indexName: string,
  single: string,
  sources: ByteSource[],
): Promise<TensorFiles> {
  const json = await readJson(folder, indexName);
  if (json === undefined) {
    throw new CheckpointError(`the folder ${folder.name} holds no weights in safetensors format`, {
      file: folder.name,
      expected: `${single} or ${indexName}`,
    });
  }
  const map = (json as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw new CheckpointError("weight_map is not an object", { file: indexName, found: describe(map) });
  }
  const byShard = new Map<string, string[]>();
  for (const [tensor, shard] of Object.entries(map as Record<string, unknown>)) {
    if (typeof shard !== "string") {
      throw new CheckpointError("its shard is not a file name", {
        file: indexName,
        tensor,
        found: describe(shard),
      });
    }
    checkFileName(shard, indexName);
    const names = byShard.get(shard);
    if (names) names.push(tensor);
    else byShard.set(shard, [tensor]);
  }
  const tensors = new Map<string, StoredTensor>();
  const metadata: Record<string, string> = {};
  for (const [shard, names] of [...byShard].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const source = await folder.open(shard);
    if (!source) {
      throw new CheckpointError(`the shard is missing; ${indexName} lists ${names.length} tensors in it`, {
        file: shard,
      });
    }
    sources.push(source);
    const header = await readSafetensors(source);
    checkListed(header.tensors, names, map as Record<string, string>, shard, indexName);
    for (const [name, tensor] of joinPlanes(header, shard)) {
      if (tensors.has(name)) {
        throw new CheckpointError("is in another shard, too", { file: shard, tensor: name });
      }
      tensors.set(name, tensor);
    }
    Object.assign(metadata, header.metadata);
  }
  return { tensors, metadata, sources };
}

/** Throws unless `shard` holds exactly the tensors `names` that the index lists there. */
function checkListed(
  held: ReadonlyMap<string, StoredTensor>,
  names: readonly string[],
  map: Readonly<Record<string, string>>,
  shard: string,
  indexName: string,
): void {
  for (const tensor of names) {
    if (!held.has(tensor)) {
      throw new CheckpointError(`is not in the shard where ${indexName} lists it`, { file: shard, tensor });
    }
  }
  const listed = new Set(names);
  for (const tensor of held.keys()) {
    if (listed.has(tensor)) continue;
    throw new CheckpointError(`is not where ${indexName} lists it`, {
      file: shard,
      tensor,
      found: shard,
      expected: Object.hasOwn(map, tensor) ? map[tensor] : "no such tensor",
    });
  }
}
