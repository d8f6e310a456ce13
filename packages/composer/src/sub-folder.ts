import type { ByteSource, Folder } from "@mask-llava/models";

/** A folder within another. `name` was checked to stay within it when the settings were parsed. */
export class SubFolder implements Folder {
  readonly name: string;
  readonly #parent: Folder;
  readonly #prefix: string;

  constructor(parent: Folder, name: string) {
    this.#parent = parent;
    this.#prefix = name;
    this.name = `${parent.name.replace(/\/$/, "")}/${name}`;
  }

  open(name: string): Promise<ByteSource | undefined> {
    return this.#parent.open(`${this.#prefix}/${name}`);
  }
}
