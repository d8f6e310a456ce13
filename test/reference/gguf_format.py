"""Writes GGUF version 3 (ggml's docs/gguf.md): header, metadata, tensor infos, aligned data."""

import struct
from pathlib import Path

import numpy as np
from gguf_blocks import FORMATS

# Python type or "u8" … to the number of a metadata type and its struct format
SCALARS = {"u8": (0, "<B"), "i8": (1, "<b"), "u16": (2, "<H"), "i16": (3, "<h"), "u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?"), "u64": (10, "<Q"), "i64": (11, "<q"), "f64": (12, "<d")}
STRING, ARRAY = 8, 9


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def scalar(kind, value):
    return text(value) if kind == "str" else struct.pack(SCALARS[kind][1], value)


def number(kind):
    return STRING if kind == "str" else SCALARS[kind][0]


def entry(key, kind, value):
    """One metadata pair. `kind`: "str", one of SCALARS, or either in a list for an array."""
    if isinstance(kind, list):
        items = b"".join(scalar(kind[0], item) for item in value)
        return text(key) + struct.pack("<IIQ", ARRAY, number(kind[0]), len(value)) + items
    return text(key) + struct.pack("<I", number(kind)) + scalar(kind, value)


def padding(size, alignment):
    return b"\0" * (-size % alignment)


def write_gguf(path, metadata, tensors, alignment=32):
    """
    metadata: {key: (kind, value)}; tensors: {name: (format name, bytes [.., row], shape)}, with numpy's order of axes,
    which the file has reversed. `alignment` other than 32 is written to the metadata.
    """
    if alignment != 32:
        metadata = metadata | {"general.alignment": ("u32", alignment)}
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    head += [entry(key, kind, value) for key, (kind, value) in metadata.items()]
    data, at = [], 0
    for name, (form, raw, shape) in tensors.items():
        head.append(text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape)))
        head.append(struct.pack("<IQ", FORMATS[form][0], at))
        raw = np.ascontiguousarray(raw, np.uint8).tobytes()
        data += [raw, padding(len(raw), alignment)]
        at += len(raw) + len(data[-1])
    header = b"".join(head)
    Path(path).write_bytes(header + padding(len(header), alignment) + b"".join(data))
