"""How alike the words of items are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from missrec_pl.fitting.sequence_pairs import strongest

if TYPE_CHECKING:
    import scipy.sparse as sp

NEIGHBOURS = 200
"""Items that an item is compared with, by default."""
_BLOCK = 512


def word_similarity(texts: Sequence[str], neighbours: int = NEIGHBOURS) -> sp.csr_array | None:
    """Sparse ``[N, N]`` cosines of the TF-IDF of texts, the largest of each item, none with itself.

    Args:
        texts: ``[N + 1]`` of items, the padding item's first; empty for an item without text.
        neighbours: how many an item keeps.

    Returns:
        None where no word stands in two texts.
    """
    if not any(texts):
        return None
    import scipy.sparse as sp
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second, which most runs do without

    try:
        found = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32).fit_transform(texts[1:])
    except ValueError:  # no word stands in two texts
        return None
    words = sp.csr_array(found)
    blocks = []
    for start in range(0, words.shape[0], _BLOCK):
        block = (words[start : start + _BLOCK] @ words.T).tocsr()
        own = sp.csr_array(sp.eye_array(block.shape[0], words.shape[0], k=start, format="csr"))
        blocks.append(strongest((block - block.multiply(own)).tocsr(), neighbours))
    return sp.csr_array(sp.vstack(blocks, format="csr"))
