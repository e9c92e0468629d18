"""Latent semantic analysis: TF-IDF weights, reduced by a truncated SVD. Needs no download."""

import importlib.util
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from missrec_pl.errors import ConfigError, DataError

_TOKEN = r"(?u)[^\s,]*\w"  # words, sizes and ids; punctuation inside a word stays ("1%", "MEAT-PCKGD")
_MAX_DIM = 512


class LsaEncoder:
    """Fits TF-IDF and SVD on the texts that it encodes, so the texts of one feature space have to go in together.

    Runs on one thread, so that the same texts give the same bytes on the same machine.

    Args:
        dim: Width of the vectors, at most 512; smaller if the texts have fewer distinct words.
        seed: Seed of the randomised SVD.

    Raises:
        ConfigError: ``dim`` is out of range, or scikit-learn is not installed.
    """

    def __init__(self, dim: int = _MAX_DIM, seed: int = 0) -> None:
        if not 1 <= dim <= _MAX_DIM:
            raise ConfigError(f"encoder lsa: dim has to be 1..{_MAX_DIM}, found {dim}")
        self.dim, self.seed, self.name = dim, seed, f"lsa-{dim}"
        if importlib.util.find_spec("sklearn") is None:  # importing it takes seconds: not before it is needed
            raise ConfigError('encoder lsa needs scikit-learn: pip install "missrec-pl[quickstart]"')

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Fits to N texts and encodes them in one step.

        Returns:
            float32 [N, F], F <= dim; rows have length 1, or 0 where a text has no word.

        Raises:
            DataError: The texts hold fewer than two items or two distinct words.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from threadpoolctl import threadpool_limits

        vectorizer = TfidfVectorizer(token_pattern=_TOKEN, sublinear_tf=True, dtype=np.float64)
        try:
            weights = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise DataError(f"encoder lsa: no words in {len(texts)} texts ({error})") from error
        dim = min(self.dim, min(weights.shape) - 1)
        if dim < 1:
            raise DataError(f"encoder lsa: {weights.shape[0]} texts with {weights.shape[1]} words are too few")
        with threadpool_limits(1):
            vectors = TruncatedSVD(dim, n_iter=4, random_state=self.seed).fit_transform(weights)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        # Words outside all kept directions leave rounding noise, which must not be scaled to length 1.
        meaningful = (np.diff(weights.indptr)[:, None] > 0) & (lengths > 1e-8)
        units: npt.NDArray[np.float64] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=meaningful)
        return units.astype(np.float32)
