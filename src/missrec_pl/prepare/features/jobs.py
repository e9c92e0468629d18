"""What there is to encode: texts, word-dropped texts, or pictures, chunk by chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.update import image_files
from missrec_pl.prepare.encoders.base import BatchTextEncoder, ImageEncoder, Recipe
from missrec_pl.prepare.features.pictures import quiet_decoders, read_picture, require_pillow
from missrec_pl.prepare.features.status import Status
from missrec_pl.prepare.features.store import Chunk

_AHEAD = 2  # chunks whose pictures are decoded while another is encoded


class Job(Protocol):
    """Items of one domain to be encoded.

    Attributes:
        dim: Width F.
        recipe: Who encodes.
    """

    dim: int
    recipe: Recipe

    def key(self) -> dict[str, Any]:
        """Plain values that decide about the vectors."""
        ...

    def encoded(self, spans: Iterable[slice]) -> Iterator[Chunk]:
        """The chunks of the given items (counted from 0), in order."""
        ...


@dataclass(frozen=True)
class WordDrop:
    """The released ``feat2CLS``: a text without some of its words.

    Attributes:
        share: Probability that a word is left out.
        seed: With the item's number, decides which.
    """

    share: float
    seed: int = 0

    def __call__(self, text: str, item: int) -> str:
        """The text of an item without some of its words, never empty."""
        words = text.split()
        kept = np.random.default_rng([self.seed, item]).random(len(words)) >= self.share
        # A text that loses every word would be a missing text, and a view has to exist where its modality does.
        return " ".join(word for word, stays in zip(words, kept, strict=True) if stays) or text


class TextJob:
    """Texts.

    Args:
        encoder: Encodes batches.
        texts: Of items 1..N.
        batch_size: Texts encoded together.
        drop: Leaves words out; None: whole texts.
    """

    def __init__(
        self, encoder: BatchTextEncoder, texts: Sequence[str], batch_size: int, drop: WordDrop | None = None
    ) -> None:
        self.recipe, self.dim = encoder.text_recipe, encoder.text_dim
        self._encoder, self._texts, self._batch_size, self._drop = encoder, texts, batch_size, drop

    def key(self) -> dict[str, Any]:
        """Recipe, texts and batches."""
        digest = hashlib.sha256("\0".join(self._texts).encode()).hexdigest()
        drop = None if self._drop is None else [self._drop.share, self._drop.seed]
        return {"recipe": self.recipe.deciding(), "texts": digest, "batch": self._batch_size, "drop": drop}

    def encoded(self, spans: Iterable[slice]) -> Iterator[Chunk]:
        """Encodes texts of similar length together: less padding."""
        for span in spans:
            texts = [text.strip() for text in self._texts[span]]
            if self._drop is not None:
                texts = [self._drop(text, span.start + row + 1) for row, text in enumerate(texts)]
            present = [row for row, text in enumerate(texts) if text]
            present.sort(key=lambda row: (len(texts[row]), row))
            chunk = _empty(len(texts), self.dim)
            for start in range(0, len(present), self._batch_size):
                rows = present[start : start + self._batch_size]
                vectors = self._encoder.encode_texts([texts[row] for row in rows])
                chunk.rows[rows], chunk.truncated[rows] = vectors.rows, vectors.truncated
            chunk.status[present] = Status.OK
            yield _without_senseless(chunk)


class ImageJob:
    """Pictures.

    Args:
        encoder: Encodes batches.
        names: Of items 1..N's files, as ``items.parquet`` keeps them; "" where there is none.
        domain: The folder from which relative names count.
        batch_size: Pictures encoded together.
        workers: Threads that decode; Pillow lets them run side by side.
    """

    def __init__(
        self, encoder: ImageEncoder, names: Sequence[str], domain: Path, batch_size: int, workers: int
    ) -> None:
        require_pillow()
        self.recipe, self.dim = encoder.image_recipe, encoder.image_dim
        self._encoder, self._batch_size, self._workers = encoder, batch_size, workers
        self._names, self._files = names, image_files(domain, names)

    def key(self) -> dict[str, Any]:
        """Recipe, stored names, sizes and times of the files, and batches.

        Times tell of a picture that was replaced by one of its size; whole seconds, for copies keep no more.
        """
        digest = hashlib.sha256()
        for name, file in zip(self._names, self._files, strict=True):
            state = file.stat() if file is not None and file.is_file() else None
            digest.update(f"{name}\0{state and (state.st_size, int(state.st_mtime))}\n".encode())
        return {"recipe": self.recipe.deciding(), "files": digest.hexdigest(), "batch": self._batch_size}

    def encoded(self, spans: Iterable[slice]) -> Iterator[Chunk]:
        """Decodes the next chunks' pictures while one is encoded."""
        quiet_decoders()
        preprocessing = self._encoder.preprocessing
        waiting: list[list[Future[Any]]] = []
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for span in spans:
                    waiting.append([pool.submit(read_picture, file, preprocessing) for file in self._files[span]])
                    if len(waiting) > _AHEAD:
                        yield self._encode([future.result() for future in waiting.pop(0)])
                while waiting:
                    yield self._encode([future.result() for future in waiting.pop(0)])
            finally:
                pool.shutdown(cancel_futures=True)

    def _encode(self, read: list[tuple[Status, Any]]) -> Chunk:
        chunk = _empty(len(read), self.dim)
        chunk.status[:] = [status for status, _ in read]
        present = np.flatnonzero(chunk.status == Status.OK)
        for start in range(0, len(present), self._batch_size):
            rows = present[start : start + self._batch_size]
            chunk.rows[rows] = self._encoder.encode_images(np.stack([read[row][1] for row in rows]))
        chunk.reasons.extend((row, str(told)) for row, (status, told) in enumerate(read) if status > Status.NONE)
        return _without_senseless(chunk)


def _empty(size: int, dim: int) -> Chunk:
    status: npt.NDArray[np.uint8] = np.full(size, Status.NONE, np.uint8)
    return Chunk(np.zeros((size, dim), np.float32), status, np.zeros(size, bool), [])


def _without_senseless(chunk: Chunk) -> Chunk:
    """Vectors of zeros, NaN or infinity are no features: such items count as missing, with the reason told."""
    sensible = np.isfinite(chunk.rows).all(axis=1) & chunk.rows.any(axis=1)
    for row in np.flatnonzero((chunk.status == Status.OK) & ~sensible):
        chunk.status[row] = Status.UNENCODABLE
        chunk.reasons.append((int(row), "the encoder gave zeros, NaN or infinity"))
    chunk.rows[chunk.status != Status.OK] = 0
    return chunk
