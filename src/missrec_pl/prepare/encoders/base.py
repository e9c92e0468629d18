"""What the preparation asks of a text encoder."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class TextEncoder(Protocol):
    """Turns texts into vectors.

    Attributes:
        name: Kept in ``domain.json``; says which model, and what decides about its vectors.
        dim: Largest width of a vector.
    """

    name: str
    dim: int

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encodes texts.

        Args:
            texts: One text for each item, of all domains that are to share a feature space.

        Returns:
            float32 [N, F] with F <= dim; rows have length 1, or 0 where a text says nothing.
        """
        ...
