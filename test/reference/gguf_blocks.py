"""Block formats of GGUF in numpy: rows of f32 to bytes and back.

The layouts are ggml's (ggml-common.h, block_q8_0 … block_q6_K). Quantisers here only have to give blocks that use the
whole format (both nibbles, high bits, signed scales, minima), not the best ones; `dequantize` says what a block means.
"""

import numpy as np

F16 = np.dtype("<f2")


def halves(values):
    """[N, n] as little-endian binary16 bytes [N, 2 n]."""
    return np.ascontiguousarray(values, dtype=F16).view(np.uint8)


def from_halves(data):
    """The inverse, as f32."""
    return np.ascontiguousarray(data).view(F16).astype(np.float32)


def divide(values, scale):
    """values / scale, and zero where the scale is zero."""
    safe = np.where(scale == 0, 1, scale)
    return np.where(scale == 0, 0, values / safe)


def furthest(blocks):
    """The value of each block that lies furthest from zero, with its sign. [N, 1]"""
    return np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[:, None], -1)


def nibbles(q):
    """[N, 32] of 0 … 15 to [N, 16]: value j in the low and j + 16 in the high four bits of byte j."""
    return (q[:, :16] | (q[:, 16:] << 4)).astype(np.uint8)


def from_nibbles(data):
    return np.concatenate([data & 15, data >> 4], -1)


def high_bits(q):
    """Bit 4 of [N, 32] as a little-endian word [N, 4]: bit i is value i's."""
    return np.packbits((q >> 4) & 1, axis=-1, bitorder="little")


def from_high_bits(data):
    return np.unpackbits(np.ascontiguousarray(data), axis=-1, bitorder="little") << 4


def q8_0(blocks):
    scale = (np.abs(blocks).max(-1, keepdims=True) / 127).astype(F16)
    q = np.rint(divide(blocks, scale.astype(np.float32))).clip(-128, 127).astype(np.int8)
    return np.concatenate([halves(scale), q.view(np.uint8)], -1)


def from_q8_0(data):
    return from_halves(data[:, :2]) * data[:, 2:].view(np.int8).astype(np.float32)


def symmetric(bits):
    """Q4_0 and Q5_0: d · (q - 2^(bits - 1)), d of either sign."""
    middle = 1 << (bits - 1)

    def quantize(blocks):
        scale = (furthest(blocks) / -middle).astype(F16)
        q = np.rint(divide(blocks, scale.astype(np.float32))).clip(-middle, middle - 1).astype(np.int32) + middle
        high = [high_bits(q)] if bits == 5 else []
        return np.concatenate([halves(scale), *high, nibbles(q & 15)], -1)

    def dequantize(data):
        q = from_nibbles(data[:, -16:]) | (from_high_bits(data[:, 2:6]) if bits == 5 else 0)
        return from_halves(data[:, :2]) * (q.astype(np.float32) - middle)

    return quantize, dequantize


def with_minimum(bits):
    """Q4_1 and Q5_1: d · q + m."""
    most = (1 << bits) - 1

    def quantize(blocks):
        low = blocks.min(-1, keepdims=True)
        scale = ((blocks.max(-1, keepdims=True) - low) / most).astype(F16)
        low = low.astype(F16)
        q = np.rint(divide(blocks - low.astype(np.float32), scale.astype(np.float32))).clip(0, most).astype(np.int32)
        high = [high_bits(q)] if bits == 5 else []
        return np.concatenate([halves(scale), halves(low), *high, nibbles(q & 15)], -1)

    def dequantize(data):
        q = from_nibbles(data[:, -16:]) | (from_high_bits(data[:, 4:8]) if bits == 5 else 0)
        return from_halves(data[:, :2]) * q.astype(np.float32) + from_halves(data[:, 2:4])

    return quantize, dequantize


def pack_scales(scales, minima):
    """Eight scales and minima of 0 … 63 [N, 8] in twelve bytes, as Q4_K and Q5_K have them."""
    low, high = np.split(scales.astype(np.uint8), 2, -1)
    low_min, high_min = np.split(minima.astype(np.uint8), 2, -1)
    return np.concatenate(
        [low | ((high >> 4) << 6), low_min | ((high_min >> 4) << 6), (high & 15) | ((high_min & 15) << 4)], -1
    ).astype(np.uint8)


def from_pack_scales(data):
    a, b, c = np.split(data, 3, -1)
    scales = np.concatenate([a & 63, (c & 15) | ((a >> 6) << 4)], -1)
    minima = np.concatenate([b & 63, (c >> 4) | ((b >> 6) << 4)], -1)
    return scales, minima


def super_block(bits):
    """Q4_K and Q5_K: eight groups of 32 a block of 256; d · s_g · q - dmin · m_g."""
    most = (1 << bits) - 1

    def quantize(blocks):
        groups = blocks.reshape(-1, 8, 32)
        low = np.maximum(0, -groups.min(-1))  # [N, 8]: what is subtracted
        scale = (groups.max(-1) + low) / most
        d = (scale.max(-1, keepdims=True) / 63).astype(F16)
        dmin = (low.max(-1, keepdims=True) / 63).astype(F16)
        s = np.rint(divide(scale, d.astype(np.float32))).clip(0, 63)
        m = np.rint(divide(low, dmin.astype(np.float32))).clip(0, 63)
        real_scale = (d.astype(np.float32) * s)[..., None]
        real_low = (dmin.astype(np.float32) * m)[..., None]
        q = np.rint(divide(groups + real_low, real_scale)).clip(0, most).astype(np.uint8)
        # groups 2 i and 2 i + 1 share 32 bytes: low and high four bits
        low_bits = (q[:, 0::2] & 15) | ((q[:, 1::2] & 15) << 4)
        # byte j holds bit 4 of value j of each group: group g's is bit g
        high = [np.bitwise_or.reduce((q >> 4) << np.arange(8, dtype=np.uint8)[:, None], 1)] if bits == 5 else []
        return np.concatenate([halves(d), halves(dmin), pack_scales(s, m), *high, low_bits.reshape(-1, 128)], -1)

    def dequantize(data):
        s, m = from_pack_scales(data[:, 4:16])
        low_bits = data[:, -128:].reshape(-1, 4, 1, 32) >> np.array([0, 4], np.uint8)[:, None]
        q = (low_bits & 15).reshape(-1, 8, 32)
        if bits == 5:
            q = q | (((data[:, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None]) & 1) << 4)
        scale = (from_halves(data[:, :2]) * s.astype(np.float32))[..., None]
        low = (from_halves(data[:, 2:4]) * m.astype(np.float32))[..., None]
        return (scale * q.astype(np.float32) - low).reshape(-1, 256)

    return quantize, dequantize


def q6_k(blocks):
    """Sixteen groups of 16; d · s_g · (q - 32), s_g a signed byte."""
    groups = blocks.reshape(-1, 16)
    scale = (furthest(groups) / -32).reshape(-1, 16)
    d = (np.abs(scale).max(-1, keepdims=True) / 127).astype(F16)
    s = np.rint(divide(scale, d.astype(np.float32))).clip(-128, 127).astype(np.int8)
    real = (d.astype(np.float32) * s.astype(np.float32)).reshape(-1, 1)
    q = (np.rint(divide(groups, real)).clip(-32, 31) + 32).astype(np.uint8)
    # two halves of 128 values, each four runs of 32: runs 0 and 2, 1 and 3 share a byte of low bits
    q = q.reshape(-1, 2, 4, 32)
    low = np.concatenate([(q[:, :, :2] & 15) | ((q[:, :, 2:] & 15) << 4)], -1).reshape(-1, 128)
    high = np.bitwise_or.reduce((q >> 4) << np.array([0, 2, 4, 6], np.uint8)[:, None], 2).reshape(-1, 64)
    return np.concatenate([low, high, s.view(np.uint8), halves(d)], -1)


def from_q6_k(data):
    low = data[:, :128].reshape(-1, 2, 1, 2, 32) >> np.array([0, 4], np.uint8)[:, None, None]
    low = (low & 15).reshape(-1, 2, 4, 32)
    high = data[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None]
    q = (low | ((high & 3) << 4)).reshape(-1, 16, 16).astype(np.float32) - 32
    scale = from_halves(data[:, 208:210]) * data[:, 192:208].view(np.int8).astype(np.float32)
    return (scale[..., None] * q).reshape(-1, 256)


def bf16(blocks):
    bits = np.ascontiguousarray(blocks, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return rounded.astype("<u2").view(np.uint8)


def from_bf16(data):
    return (np.ascontiguousarray(data).view("<u2").astype(np.uint32) << 16).view(np.float32)


# name: (ggml's number, weights a block, bytes a block, quantize [N, weights] -> [N, bytes], dequantize)
FORMATS = {
    "F32": (0, 1, 4, lambda b: np.ascontiguousarray(b, "<f4").view(np.uint8), lambda d: np.ascontiguousarray(d).view("<f4")),
    "F16": (1, 1, 2, halves, from_halves),
    "Q4_0": (2, 32, 18, *symmetric(4)),
    "Q4_1": (3, 32, 20, *with_minimum(4)),
    "Q5_0": (6, 32, 22, *symmetric(5)),
    "Q5_1": (7, 32, 24, *with_minimum(5)),
    "Q8_0": (8, 32, 34, q8_0, from_q8_0),
    "Q4_K": (12, 256, 144, *super_block(4)),
    "Q5_K": (13, 256, 176, *super_block(5)),
    "Q6_K": (14, 256, 210, q6_k, from_q6_k),
    "BF16": (30, 1, 2, bf16, from_bf16),
}


def quantize(values, name):
    """f32 [.., K] to the bytes [.., K / weights · bytes] of format `name`."""
    _, weights, size, pack, _ = FORMATS[name]
    values = np.asarray(values, np.float32)
    assert values.shape[-1] % weights == 0, f"{name}: rows of {values.shape[-1]} are no whole blocks of {weights}"
    return pack(values.reshape(-1, weights)).reshape(*values.shape[:-1], values.shape[-1] // weights * size)


def dequantize(data, name):
    """The f32 values [.., K] that bytes stand for."""
    _, weights, size, _, unpack = FORMATS[name]
    return unpack(data.reshape(-1, size)).reshape(*data.shape[:-1], data.shape[-1] // size * weights)
