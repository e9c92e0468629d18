import numpy as np
import pytest

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.encoders.lsa import LsaEncoder

TEXTS = ["red apple", "green apple", "red car", "fast car", "apple pie 2 LB", ""]


def test_rows_are_unit_vectors_or_zero() -> None:
    vectors = LsaEncoder(4).encode(TEXTS)
    assert vectors.shape == (6, 4)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 1, 1, 0], atol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[1] @ vectors[3]


def test_the_same_texts_give_the_same_bytes() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{n}" for n in rng.integers(300, size=12)) for _ in range(500)]
    assert LsaEncoder(32).encode(texts).tobytes() == LsaEncoder(32).encode(texts).tobytes()


def test_width_is_limited_by_the_words() -> None:
    assert LsaEncoder(512).encode(["a b", "b c", "c a"]).shape == (3, 2)
    with pytest.raises(ConfigError, match=r"1\.\.512, found 513"):
        LsaEncoder(513)
    with pytest.raises(DataError, match="no words"):
        LsaEncoder(8).encode(["", ""])
    with pytest.raises(DataError, match="too few"):
        LsaEncoder(8).encode(["a", "a"])


def test_ids_and_sizes_stay_whole_words() -> None:
    texts = ["manufacturer-12 price-class-3", "manufacturer-1 price-class-3", "manufacturer-12 price-class3"]
    vectors = LsaEncoder(8).encode(texts)
    assert np.abs(vectors[0] @ vectors[1]) < 0.99
    assert np.abs(vectors[0] @ vectors[2]) < 0.99
    assert np.abs(vectors[1] @ vectors[2]) < 0.2
