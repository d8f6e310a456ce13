import { type ProbedFeature, type ProbedObject, probedFeatures } from "./object-features.ts";
import { SoftmaxRegression } from "./softmax-regression.ts";

/** What a probe names of an object. */
export const probedAttributes = ["colour", "shape", "size"] as const;
export type ProbedAttribute = (typeof probedAttributes)[number];

/** Something of every feature and attribute. */
export type PerProbe<T> = Readonly<Record<ProbedFeature, Readonly<Record<ProbedAttribute, T>>>>;

export function perProbe<T>(make: (feature: ProbedFeature, attribute: ProbedAttribute) => T): PerProbe<T> {
  const entries = <K extends string, V>(keys: readonly K[], of: (key: K) => V) =>
    Object.fromEntries(keys.map((key) => [key, of(key)])) as Record<K, V>;
  return entries(probedFeatures, (feature) =>
    entries(probedAttributes, (attribute) => make(feature, attribute)),
  );
}

/** Linear probes: how well an object's attributes can be read off what stands for it. */
export class Probes {
  /** Objects that they were trained on. */
  readonly objects: number;
  readonly #probes: PerProbe<SoftmaxRegression>;

  /** @param objects at least one */
  constructor(objects: readonly ProbedObject[]) {
    this.objects = objects.length;
    this.#probes = perProbe((feature, attribute) =>
      SoftmaxRegression.fit(
        objects.map(({ features }) => features[feature]),
        objects.map(({ truth }) => truth[attribute]),
      ),
    );
  }

  /** How many objects each probe names right. */
  right(objects: readonly ProbedObject[]): PerProbe<number> {
    return perProbe((feature, attribute) => {
      const probe = this.#probes[feature][attribute];
      return objects.filter(({ features, truth }) => probe.predict(features[feature]) === truth[attribute])
        .length;
    });
  }
}
