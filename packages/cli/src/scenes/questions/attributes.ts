import { type Attribute, references } from "../references.ts";
import { type Asker, oneOf } from "./asked.ts";

/** "What colour is the small star?" */
export const askColour = askAttribute("colour", (object) => `What colour is ${object}?`);
/** "What shape is the red object?" */
export const askShape = askAttribute("shape", (object) => `What shape is ${object}?`);
/** "Is the red star small or large?" */
export const askSize = askAttribute("size", (object) => `Is ${object} small or large?`);

/** Asks for an attribute of an object that the other attributes tell from all others. */
function askAttribute(kind: Attribute, words: (reference: string) => string): Asker {
  const others = (["size", "colour", "shape"] as const).filter((attribute) => attribute !== kind);
  return ({ objects }, random) =>
    oneOf(
      objects.flatMap((object) =>
        references(objects, object, others).map((reference) => ({
          kind,
          question: words(reference),
          answer: object[kind],
        })),
      ),
      random,
    );
}
