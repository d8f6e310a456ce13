"""Makes the committed fixtures: python3 test/reference/make.py [group or fixture …]; without names, all of them.

Needs torch, transformers >= 5 and Pillow. Everything is drawn from seeds: the same versions of these libraries
give the same files.
"""

import importlib
import sys

GROUPS = ["clip", "llama", "llava", "images", "deformable_detr", "sam", "gguf"]


def main(names):
    known = set()
    for group in GROUPS:
        module = importlib.import_module(f"make_{group}")
        known |= {group, *module.FIXTURES}
        for name in module.FIXTURES:
            if not names or group in names or name in names:
                print(name)
                module.make(name)
    unknown = set(names) - known
    if unknown:
        sys.exit(f"unknown fixture {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")


if __name__ == "__main__":
    main(sys.argv[1:])
