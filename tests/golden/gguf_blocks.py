"""Rows of weights in GGUF's types: quantised where the gguf package can, random blocks where it only reads.

Random blocks are as good a model: the reference runs on what the blocks decode to.
"""
import gguf
import numpy as np

Type = gguf.GGMLQuantizationType

# Where the fp16 scale d stands in a block of a type that gguf cannot write, where dmin, and the ratio dmin / d that
# centres the weights on zero (mean of scale * code over mean of minimum).
RANDOM = {Type.Q2_K: (80, 82, 1.5), Type.Q3_K: (108, None, 0), Type.Q4_K: (0, 2, 7.5), Type.Q5_K: (0, 2, 15.5),
          Type.Q6_K: (208, None, 0), Type.IQ4_NL: (0, None, 0), Type.IQ4_XS: (0, None, 0)}


def random_blocks(rng, kind, shape, std):
    """uint8 [.., bytes of a row] of random codes whose decoded values have about the given deviation."""
    per, size = gguf.GGML_QUANT_SIZES[kind]
    if shape[-1] % per:
        raise ValueError(f"{kind.name}: rows of {shape[-1]} weights do not fill blocks of {per}")
    blocks = rng.integers(0, 256, (int(np.prod(shape)) // per, size), dtype=np.uint8)
    at, at_min, ratio = RANDOM[kind]
    spread = rng.uniform(0.6, 1.4, len(blocks))

    def put(scale):
        blocks[:, at:at + 2] = (scale * spread).astype("<f2").view(np.uint8).reshape(-1, 2)
        if at_min is not None:
            blocks[:, at_min:at_min + 2] = (ratio * scale * spread).astype("<f2").view(np.uint8).reshape(-1, 2)
    put(1.0)
    put(std / gguf.dequantize(blocks, kind).std())
    return blocks.reshape(*shape[:-1], shape[-1] // per * size)


def encode(rng, kind, value):
    """The array that GGUFWriter takes for float32 `value` in type `kind`."""
    if kind == Type.F32:
        return value.astype(np.float32)
    if kind == Type.F16:
        return value.astype(np.float16)
    if kind in RANDOM:
        return random_blocks(rng, kind, value.shape, value.std())
    return gguf.quantize(np.ascontiguousarray(value), kind)
