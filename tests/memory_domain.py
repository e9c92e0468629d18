"""A domain in memory, for tests of the data layer and above."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from missrec_pl.data.domain.files import ATTRIBUTES
from missrec_pl.data.sequences import Sequences


class MemoryDomain:
    """What the data layer reads of a domain, from plain lists: feature rows 1..N, None where an item has none."""

    def __init__(
        self,
        name,
        *,
        features,
        num_items=None,
        sequences=((1,),),
        timestamps=None,
        dtype=np.float32,
        attributes=None,
        texts=(),
    ):
        self._texts = ["", *texts]
        self._attributes = attributes
        self.name = name
        self.path = Path("memory") / name
        self.num_items = num_items or len(next(iter(features.values())))
        self.sequences = Sequences.from_lists(
            [list(one) for one in sequences], None if timestamps is None else [list(one) for one in timestamps]
        )
        self._rows, self._present = {}, {}
        for modality, rows in features.items():
            width = len(next(row for row in rows if row is not None))
            filled = [[0.0] * width] + [[0.0] * width if row is None else list(row) for row in rows]
            self._rows[modality] = np.array(filled, dtype=dtype)
            self._present[modality] = np.array([False, *(row is not None for row in rows)])
        self.modalities = {name: SimpleNamespace(dim=rows.shape[1]) for name, rows in self._rows.items()}

    def features(self, modality):
        return self._rows[modality]

    def present(self, modality):
        return self._present[modality]

    def texts(self):
        return self._texts

    def attributes(self):
        return None if self._attributes is None else pa.array(self._attributes, ATTRIBUTES)

    def forget_features(self):
        """Everything is in memory."""

    forget_sequences = forget_features

    def release_pages(self, modality):
        """Nothing is mapped."""
