"""Captions of a scene for the contrastive stage, and hard negatives of them that differ in one attribute.

The generator's caption is one of the forms that are used; the others list the annotated objects, so that a negative is
known to be false: it describes another multiset of objects.
"""

from collections import Counter

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")


def phrase(thing):
    """(size, colour, shape) -> "a small red star"."""
    return "a " + " ".join(thing)


def things_of(scene):
    return [(o["size"], o["colour"], o["shape"]) for o in scene["objects"]]


def listing(things, rng):
    """ "three objects: a small red star, a large blue ring and a small red star" in random order, at times without the count."""
    order = [phrase(things[i]) for i in rng.permutation(len(things))]
    text = order[0] if len(order) == 1 else ", ".join(order[:-1]) + " and " + order[-1]
    if rng.random() < 0.3:
        return text
    return f"{NUMBERS[len(things)]} object{'s' if len(things) > 1 else ''}: {text}"


def altered(things, vocabulary, rng):
    """The things with one attribute of one replaced, an attribute swapped between two, one left out, or one added."""
    for _ in range(20):
        out = list(things)
        i = int(rng.integers(len(out)))
        way = rng.random()
        if way < 0.6 or len(out) == 1:
            field = int(rng.choice(3, p=[0.2, 0.35, 0.45]))  # shape is the hardest to learn
            others = [value for value in vocabulary[field] if value != out[i][field]]
            out[i] = (*out[i][:field], others[int(rng.integers(len(others)))], *out[i][field + 1 :])
        elif way < 0.85:
            field, k = int(rng.integers(3)), int(rng.integers(len(out)))
            a, b = out[i][field], out[k][field]
            out[i] = (*out[i][:field], b, *out[i][field + 1 :])
            out[k] = (*out[k][:field], a, *out[k][field + 1 :])
        elif way < 0.93 or len(out) == len(NUMBERS) - 1:
            del out[i]
        else:
            out.append(out[i])
        if Counter(out) != Counter(things):
            return out
    return [*things, things[0]] if len(things) < len(NUMBERS) - 1 else things[1:]


def positive_and_negatives(scene, vocabulary, count, rng):
    """One caption that is true and `count` that are false."""
    things = things_of(scene)
    true = scene["caption"] if rng.random() < 0.3 else listing(things, rng)
    return true, [listing(altered(things, vocabulary, rng), rng) for _ in range(count)]
