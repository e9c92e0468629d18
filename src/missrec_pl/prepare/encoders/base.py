"""What the preparation asks of encoders.

Two kinds of text encoders: one that is fitted to the very texts that it encodes (``TextEncoder``: LSA), and one
that knows its weights beforehand and takes batches (``BatchTextEncoder``). Image encoders take batches.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from missrec_pl.prepare.encoders.pixels import Preprocessing


@dataclass(frozen=True)
class Recipe:
    """Who makes the vectors, kept in ``domain.json``.

    Attributes:
        encoder: Tells apart what must not be mixed in one modality: kind, output and a digest of the weights.
        model: Name or folder that the user gave.
        preprocessing: What happens before the network.
        options: What else decides about the vectors.
        versions: Of the libraries at work; for the record, as is ``model``: neither decides about anything here.
    """

    encoder: str
    model: str
    preprocessing: str
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For ``domain.json``."""
        return asdict(self)

    def deciding(self) -> dict[str, Any]:
        """What decides about the vectors, wherever the model lies: the weights' digest tells which one it is."""
        return {name: value for name, value in self.plain().items() if name not in ("model", "versions")}


@dataclass(frozen=True)
class TextVectors:
    """Vectors of a batch of texts.

    Attributes:
        rows: float32 [B, F].
        truncated: bool [B], True where the text was longer than the encoder reads.
    """

    rows: npt.NDArray[np.float32]
    truncated: npt.NDArray[np.bool_]


class TextEncoder(Protocol):
    """Turns texts into vectors, fitting itself to them.

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


@runtime_checkable
class BatchTextEncoder(Protocol):
    """Turns batches of texts into vectors; a text's vector does not depend on other texts.

    Attributes:
        text_recipe: Who makes the vectors.
        text_dim: Their width.
    """

    text_recipe: Recipe
    text_dim: int

    def encode_texts(self, texts: Sequence[str]) -> TextVectors:
        """Encodes texts that are not empty."""
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """Turns batches of pictures into vectors.

    Attributes:
        image_recipe: Who makes the vectors.
        image_dim: Their width.
        preprocessing: What happens to a picture; called from several threads at once.
    """

    image_recipe: Recipe
    image_dim: int
    preprocessing: Preprocessing

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encodes preprocessed pictures.

        Args:
            pixels: uint8 [B, H, W, 3].

        Returns:
            float32 [B, F].
        """
        ...
