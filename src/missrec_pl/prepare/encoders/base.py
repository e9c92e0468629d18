"""What the preparation asks of encoders. A class outside this package may offer any of these protocols, too."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from missrec_pl.prepare.encoders.pixels import Preprocessing


@dataclass(frozen=True)
class Recipe:
    """How vectors are made, kept in ``domain.json``.

    Attributes:
        encoder: Names the vector space: kind, output and a digest of the weights. It has to change whenever the
            vectors would; features of one modality in several domains have to agree in it.
        model: Name or folder that the user gave; for the record only.
        preprocessing: What happens before the network.
        options: What else decides about the vectors.
        versions: Of the libraries; for the record only.
    """

    encoder: str
    model: str = ""
    preprocessing: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For ``domain.json``."""
        return asdict(self)

    def deciding(self) -> dict[str, Any]:
        """The entries that decide about the vectors: all but those for the record only."""
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


@runtime_checkable
class BatchTextEncoder(Protocol):
    """Turns batches of texts into vectors; a text's vector does not depend on other texts.

    Attributes:
        text_recipe: How the vectors are made.
        text_dim: Their width.
    """

    text_recipe: Recipe
    text_dim: int

    def encode_texts(self, texts: Sequence[str]) -> TextVectors:
        """Encodes texts that are not empty."""


@runtime_checkable
class ImageEncoder(Protocol):
    """Turns batches of pictures into vectors.

    Attributes:
        image_recipe: How the vectors are made.
        image_dim: Their width.
        preprocessing: What happens to a picture; called from several threads at once.
    """

    image_recipe: Recipe
    image_dim: int
    preprocessing: Preprocessing

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encodes preprocessed pictures, uint8 [B, H, W, 3], to float32 [B, F]."""


@runtime_checkable
class ItemEncoder(Protocol):
    """Turns what is known of items into vectors of any modality, such as audio.

    Attributes:
        reads: What ``encode`` gets of each item: ``texts``, ``image_paths`` or ``raw_ids``.
        recipe: How the vectors are made.
        dim: Their width.
    """

    reads: str
    recipe: Recipe
    dim: int

    def encode(self, values: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encodes a batch of items; items without the text or path that it reads are left out.

        Returns:
            float32 [B, F]; a row of zeros means that the item lacks the modality.
        """


Encoder: TypeAlias = BatchTextEncoder | ImageEncoder | ItemEncoder
READS = ("texts", "image_paths", "raw_ids")  # what an ``ItemEncoder`` may read
