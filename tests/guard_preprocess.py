"""Preprocessing of memory between two pages that must not be touched. Run as a program: a wrong access ends it."""

import hashlib
import itertools

import numpy as np

from cases import canonical
from fastact import preprocess
from guard import GuardedPage

WIDTHS = (1, 2, 9, 10, 11, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 200, 257)
QUANTIZED = ("uint8", "int8", "uint16", "int16")


def main() -> str:
    """Return a digest of all results."""
    digest = hashlib.sha256()
    pages = [GuardedPage() for _ in range(2)]
    generator = np.random.default_rng(0)

    def run(function, values, shape, result, is_at_end, **options):
        x = pages[0].array(values.size, values.dtype, is_at_end).reshape(values.shape)
        out = pages[1].array(values.size, np.dtype(result), is_at_end).reshape(shape)
        x[...] = values
        for given, target in ((x, out), (x[..., ::-1, :], out) if values.ndim == 3 else (x[::-1], out)):
            function(given, out=target, **options)
            digest.update(canonical(target))

    for is_at_end, width, channels in itertools.product((False, True), WIDTHS, (1, 3, 4)):
        for dtype, layout in itertools.product((np.uint8, np.uint16, np.float32), ("NCHW", "NHWC")):
            if width * channels > 1000:
                continue
            values = generator.integers(0, 256, (1, width, channels)).astype(dtype)
            shape = (channels, 1, width) if layout == "NCHW" else (1, width, channels)
            run(preprocess.image_to_tensor, values, shape, np.float32, is_at_end, mean=0.4, std=0.3, layout=layout)
            run(preprocess.image_to_tensor, values, shape, np.float16, is_at_end, layout=layout, dtype=np.float16)
        x = (generator.standard_normal(width) * 50).astype(np.float32)
        for kind in QUANTIZED:
            run(preprocess.quantize_linear, x, x.shape, kind, is_at_end, scale=0.3, zero_point=3, dtype=kind)
            q = preprocess.quantize_linear(x, 0.3, 3, dtype=kind)
            run(preprocess.dequantize_linear, q, x.shape, np.float32, is_at_end, scale=0.3, zero_point=3)
            scale = np.linspace(0.1, 0.9, width)
            run(preprocess.quantize_linear, x, x.shape, kind, is_at_end, scale=scale, dtype=kind, axis=0)
    return digest.hexdigest()


if __name__ == "__main__":
    print(main())
