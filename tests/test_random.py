"""The draws: Philox4x32-10 as published, its words at their elements, and their statistics. All seeds are fixed."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

import fastact
import philox_reference
from fastact._kernels import random
from fastact._kernels.seeds import threshold_of

HALF = 2**31
SEED = bytes(range(7, 23))
PROBABILITIES = (1e-6, 1e-3, 0.1, 0.5, 0.9, 1 - 1e-6)
# One test in 1.7 million exceeds 5 standard deviations.
LIMIT = 5.0


def kept(seed: int, n: int, p: float = 0.5) -> np.ndarray:
    return np.unpackbits(fastact.dropout_mask(n, p, rng=seed), count=n, bitorder="little").view(bool)


# ---- Philox.

# Random123's kat_vectors: counter, key, output.
PUBLISHED = (
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)


def parsed(text):
    return [int(word, 16) for word in text.split()]


def philox_words(counter, seed):
    """Return the words of 32 counters."""
    return random.philox(counter, seed)[0].reshape(8, 2, 16)[:, 1].ravel()


@pytest.mark.parametrize(("counter", "key", "output"), PUBLISHED)
def test_published_vectors(counter, key, output):
    x0, x1, x2, x3 = parsed(counter)
    seed = np.array([*parsed(key), x2, x3], "<u4").tobytes()
    number = x0 + (x1 << 32)
    begin, place = number - number % 32, number % 32
    words = philox_words(begin, seed).reshape(4, 2, 8, 2)[place // 8, :, place % 8, ::-1].ravel()
    assert [int(word) for word in words] == parsed(output)
    assert philox_reference.philox4x32(np.array([parsed(counter)]), tuple(parsed(key))).tolist() == [parsed(output)]


@pytest.mark.parametrize("first", [0, 256, 2**20, 2**32 - 256, 2**32, 2**35 - 256, 2**35, 2**40 + 256, 2**62])
def test_words_of_elements(first):
    upper, complete = random.philox(first // 8, SEED)
    assert np.array_equal(complete, philox_reference.words(SEED, 256, first))
    assert np.array_equal(upper >> 16, complete >> 16)


# ---- Masks.


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 63, 64, 65, 255, 256, 257, 4095, 4096, 4097, 16385, 140_001])
def test_mask_is_that_of_the_words(n):
    threshold = round(0.3 * 2**32)
    expected = philox_reference.packed(philox_reference.words(SEED, n) >= threshold)
    assert np.array_equal(random.draw_bits(n, SEED, threshold), expected)


@pytest.mark.parametrize("lower", [0, 1, 2**15, 2**16 - 1])
def test_lower_halves_decide(lower):
    """Where the upper half of a word is the threshold's, which happens once in 65536 words."""
    words = philox_reference.words(SEED, 2**20)
    for upper in (0, 1, 0x1234, 0x8000, 0xFFFF):
        threshold = max(1, upper << 16 | lower)
        ties = np.flatnonzero(words >> 16 == upper)
        bits = np.unpackbits(random.draw_bits(words.size, SEED, threshold), bitorder="little").view(bool)
        assert len(ties) > 4
        assert np.array_equal(bits, words >= threshold)


@pytest.mark.parametrize("threshold", [1, 2, HALF - 1, HALF, HALF + 1, 2**32 - 1])
def test_thresholds(threshold):
    words = philox_reference.words(SEED, 5000)
    assert np.array_equal(random.draw_bits(5000, SEED, threshold), philox_reference.packed(words >= threshold))
    word = int(words[77])
    for near, is_kept in ((word, True), (word + 1, False)):
        bits = np.unpackbits(random.draw_bits(5000, SEED, near), count=5000, bitorder="little")
        assert bits[77] == is_kept


def test_probability_is_met_to_the_last_word():
    """P(drop) is p to within half a word of 2**32, for any p."""
    generator = np.random.default_rng(2)
    drawn = generator.random(1000) ** np.repeat([1, 20], 500)
    for p in map(float, (*PROBABILITIES, 2.0**-33, 3 * 2.0**-34, 1 - 2.0**-33, 1 / 3, *drawn)):
        assert abs(Fraction(threshold_of(p), 2**32) - Fraction(p)) <= Fraction(1, 2**33)
    assert [threshold_of(p) for p in (0.0, 0.1, 0.5, 1.0)] == [0, 429_496_730, 2**31, 2**32]


def test_computed_in_pieces():
    """Any piece of a large array, begun anywhere, has the bits of the whole."""
    n = 100_000
    whole = np.unpackbits(random.draw_bits(n, SEED, HALF), count=n, bitorder="little").view(bool)
    generator = np.random.default_rng(3)
    for length in (1, 2, 31, 256, 257, 4000, 9001):
        starts = np.sort(generator.integers(0, n - length, 40))
        pieces = random.draw_runs(starts, length, SEED, HALF)
        assert pieces.dtype == np.bool_
        assert np.array_equal(pieces, [whole[start : start + length] for start in starts])


@pytest.mark.parametrize("border", [2**31, 2**32, 2**34, 2**35, 2**36, 2**40, 2**62])
def test_indices_beyond_32_bits(border):
    start, n = border - 5000, 10_000
    (piece,) = random.draw_runs(np.array([start]), n, SEED, HALF)
    assert np.array_equal(piece, philox_reference.words(SEED, n, start) >= HALF)
    (first,) = random.draw_runs(np.array([0]), n // 2, SEED, HALF)
    assert abs(correlation(piece[n // 2 :], first)) < LIMIT


@pytest.mark.slow
def test_an_array_beyond_32_bits():
    n = 2**32 + 100_000
    mask = fastact.dropout_mask(n, 0.5, rng=1)
    tail = np.unpackbits(mask[2**32 // 8 :], count=100_000, bitorder="little").view(bool)
    words = philox_reference.words(philox_reference.seed_of(1), 100_000, 2**32)
    assert np.array_equal(tail, words >= HALF)
    assert abs(deviation(int(np.bitwise_count(mask).sum(dtype=np.int64)), n, 0.5)) < LIMIT


# ---- Uniform draws.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), 5, (3, 4), 1000, (2, 70_000), 0])
def test_uniform(dtype, shape):
    draws = random.uniform(shape, dtype, SEED)
    assert draws.dtype == dtype
    words = philox_reference.words(SEED, draws.size).reshape(draws.shape)
    assert np.array_equal(draws, (words >> np.uint32(8)) * 2.0**-24)


def test_uniform_moments():
    draws = random.uniform(2**20, np.float64, SEED)
    assert 0 <= draws.min() < 1e-4 < 1 - 1e-4 < draws.max() < 1
    assert abs(draws.mean() - 0.5) * math.sqrt(12 * draws.size) < LIMIT
    assert abs((draws**2).mean() - 1 / 3) * math.sqrt(45 / 4 * draws.size) < LIMIT


# ---- Statistics.


def deviation(count: int, n: int, p: float) -> float:
    """Return how many standard deviations a count is from a binomial mean."""
    return (count - n * p) / math.sqrt(n * p * (1 - p))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of two sequences of bits in standard deviations: the root of chi-square."""
    n, both, ones_a, ones_b = len(a), *(int(np.count_nonzero(bits)) for bits in (a & b, a, b))
    return (both - ones_a * ones_b / n) * n**1.5 / math.sqrt(ones_a * (n - ones_a) * ones_b * (n - ones_b))


def deviation_of_mask(seed: int, n: int, p: float) -> float:
    kept_count = int(np.bitwise_count(fastact.dropout_mask(n, p, rng=seed)).sum(dtype=np.int64))
    return deviation(n - kept_count, n, p)


@pytest.mark.parametrize("p", PROBABILITIES)
def test_binomial(p):
    assert max(abs(deviation_of_mask(seed, 2**26, p)) for seed in range(3)) < LIMIT


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_neighbours(p):
    n = 2**21
    for seed in range(3):
        bits = kept(seed, n, p)
        deviations = [correlation(bits[:-lag], bits[lag:]) for lag in range(1, 65)]
        assert max(map(abs, deviations)) < LIMIT
        # Chi-square over all lags: 64 degrees of freedom.
        assert abs(sum(z * z for z in deviations) - 64) < LIMIT * math.sqrt(128)


def test_pairs_of_seeds():
    n = 2**18
    masks = [kept(seed, n) for seed in range(40)]
    assert max(abs(correlation(a, b)) for a, b in itertools.combinations(masks, 2)) < LIMIT


def test_over_seeds():
    """The same element over seeds 0, 1, 2, ..., and its neighbours in the next."""
    seeds = 4000
    bits = np.stack([kept(seed, 128) for seed in range(seeds)])
    assert np.abs([deviation(count, seeds, 0.5) for count in bits.sum(axis=0)]).max() < LIMIT
    assert abs(deviation(int(bits.sum()), bits.size, 0.5)) < LIMIT
    for lag in range(1, 17):
        assert abs(correlation(bits[:-lag].ravel(), bits[lag:].ravel())) < LIMIT


def words_of(seed: bytes, n: int) -> np.ndarray:
    return np.concatenate([random.philox(counter, seed)[1] for counter in range(0, n // 8, 32)])


def signs(words: np.ndarray) -> np.ndarray:
    """Return the bit planes as rows of -1 and 1."""
    planes = words[np.newaxis, :] >> np.arange(32, dtype=np.uint32)[:, np.newaxis] & np.uint32(1)
    return planes.astype(np.float32) * 2 - 1


def test_bit_planes():
    """Each plane by itself, against every other one, and against those of the words that follow."""
    n = 2**17
    planes = signs(words_of(SEED, n))
    assert np.abs(planes.sum(axis=1)).max() / math.sqrt(n) < LIMIT
    for lag in (0, 1, 2, 16, 32, 64, 256):
        products = planes[:, : n - lag] @ planes[:, lag:].T / math.sqrt(n - lag)
        if lag == 0:
            np.fill_diagonal(products, 0)
        assert np.abs(products).max() < LIMIT


def test_seeds_that_differ_in_one_bit():
    """Every bit of the words changes with probability 1/2, whichever of the 128 bits of the seed is changed."""
    n = 2**12
    words = words_of(SEED, n)
    for bit in range(128):
        changed = (int.from_bytes(SEED, "little") ^ 1 << bit).to_bytes(16, "little")
        differences = words ^ words_of(changed, n)
        assert abs(deviation(int(np.bitwise_count(differences).sum()), 32 * n, 0.5)) < LIMIT
        planes = signs(differences).sum(axis=1) / math.sqrt(n)
        assert np.abs(planes).max() < LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("p", PROBABILITIES)
def test_binomial_over_many_seeds(p):
    """The deviations of 200 seeds are normal themselves."""
    deviations = np.array([deviation_of_mask(seed, 2**26, p) for seed in range(200)])
    assert np.abs(deviations).max() < LIMIT
    assert abs(deviations.mean()) * math.sqrt(200) < LIMIT
    assert abs((deviations**2).mean() - 1) < LIMIT * math.sqrt(2 / 200)


@pytest.mark.slow
def test_neighbours_of_a_long_mask():
    n = 2**26
    for seed in range(8):
        bits = kept(seed, n)
        assert max(abs(correlation(bits[:-lag], bits[lag:])) for lag in range(1, 65)) < LIMIT
