"""Dropout as `_kernels/philox.py` defines it, in NumPy, with nothing of fastact: what the masks must be."""

import numpy as np

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOWER = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox4x32(counters: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Return the four words of each counter, both as rows of words: Random123's philox4x32 with ten rounds."""
    x0, x1, x2, x3 = np.asarray(counters, np.uint64).T
    for _ in range(10):
        p0, p1 = x0 * MULTIPLIERS[0], x2 * MULTIPLIERS[1]
        x0, x1 = p1 >> HALF ^ x1 ^ np.uint64(key[0]), p1 & LOWER
        x2, x3 = p0 >> HALF ^ x3 ^ np.uint64(key[1]), p0 & LOWER
        key = ((key[0] + WEYL[0]) % 2**32, (key[1] + WEYL[1]) % 2**32)
    return np.stack([x0, x1, x2, x3], axis=-1).astype(np.uint32)


def half_words(seed: bytes, elements: np.ndarray, offset: int) -> np.ndarray:
    """Return a half-word for each element, of counters that begin at the offset."""
    key_0, key_1, x2, x3 = (int(word) for word in np.frombuffer(seed, "<u4"))
    block, place = elements // np.uint64(64), elements % np.uint64(64)
    counter = block * np.uint64(8) + place % np.uint64(16) // np.uint64(2) + np.uint64(offset)
    upper = np.full((2, len(elements)), [[x2], [x3]], np.uint64)
    rows = np.stack([counter & LOWER, counter >> HALF, *upper], axis=-1)
    word = np.where(place < 32, 1, 3) - (place % np.uint64(2)).astype(int)
    words = philox4x32(rows, (key_0, key_1))[np.arange(len(elements)), word]
    return np.where(place % np.uint64(32) < 16, words & np.uint32(0xFFFF), words >> np.uint32(16))


def words(seed: bytes, n: int, first: int = 0) -> np.ndarray:
    """Return the words of elements first to first + n."""
    elements = np.arange(n, dtype=np.uint64) + np.uint64(first)
    upper, lower = half_words(seed, elements, 0), half_words(seed, elements, 2**63)
    return upper << np.uint32(16) | lower


def seed_of(rng: int | np.random.Generator) -> bytes:
    return np.random.default_rng(rng).bytes(16)


def keep(rng: int | np.random.Generator, shape: int | tuple[int, ...], p: float) -> np.ndarray:
    """Return whether each element is kept."""
    return words(seed_of(rng), int(np.prod(shape))).reshape(shape) >= round(p * 2**32)


def packed(is_kept: np.ndarray) -> np.ndarray:
    return np.packbits(is_kept.ravel(), bitorder="little")
