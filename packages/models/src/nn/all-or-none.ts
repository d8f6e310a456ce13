/**
 * What `make` gives. What it hands to `own` on the way is disposed, last first, where it throws: a constructor that runs out of
 * GPU memory halfway has no instance that could be disposed.
 */
export function allOrNone<T>(make: (own: <D extends Disposable>(made: D) => D) => T): T {
  const made: Disposable[] = [];
  try {
    return make((one) => {
      made.push(one);
      return one;
    });
  } catch (error) {
    for (const one of made.reverse()) one[Symbol.dispose]();
    throw error;
  }
}
