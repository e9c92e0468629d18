"""What there is to encode, chunk by chunk: texts, pictures, or what else is known of items."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.update import image_files
from missrec_pl.data.sequences import offsets_of
from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.base import BatchTextEncoder, ImageEncoder, ItemEncoder, Recipe, TextVectors
from missrec_pl.prepare.features.decoding import VERSION
from missrec_pl.prepare.features.pictures import quiet_decoders, read_picture, require_pillow
from missrec_pl.prepare.features.store import Chunk, Status

_AHEAD = 2  # chunks whose pictures are decoded while another is encoded


@dataclass(frozen=True)
class WordDrop:
    """Makes the released ``feat2CLS``: a text without some of its words."""

    share: float  # probability that a word is left out
    seed: int = 0  # with the item's number, decides which

    def __call__(self, text: str, item: int) -> str:
        """The text of an item without some of its words, never empty."""
        words = text.split()
        kept = np.random.default_rng([self.seed, item]).random(len(words)) >= self.share
        # A text that loses every word would be missing from the view, but a view has all items of its modality.
        return " ".join(word for word, stays in zip(words, kept, strict=True) if stays) or text


class TextJob:
    """Texts, or the other strings that an ``ItemEncoder`` reads.

    ``texts`` are those of items 1..N, without white space around them; "" where an item has none. ``drop`` leaves
    words out.
    """

    def __init__(
        self,
        encoder: BatchTextEncoder | ItemEncoder,
        texts: Sequence[str],
        batch_size: int,
        drop: WordDrop | None = None,
    ) -> None:
        self._encoder, self._texts, self._batch_size, self._drop = encoder, texts, batch_size, drop
        if isinstance(encoder, ItemEncoder):
            self.recipe, self.dim = encoder.recipe, encoder.dim
        else:
            self.recipe, self.dim = encoder.text_recipe, encoder.text_dim

    def key(self) -> dict[str, Any]:
        """Plain values that decide about the vectors: recipe, texts and batches."""
        digest = hashlib.sha256("\0".join(self._texts).encode()).hexdigest()
        if isinstance(self._encoder, ItemEncoder) and self._encoder.reads == "image_paths":
            digest = _files_digest(self._texts, [Path(text) if text else None for text in self._texts])
        drop = None if self._drop is None else [self._drop.share, self._drop.seed]
        return {"recipe": self.recipe.deciding(), "texts": digest, "batch": self._batch_size, "drop": drop}

    def encoded(self, spans: Iterable[slice]) -> Iterator[Chunk]:
        """The chunks of the given items (counted from 0), in order.

        Texts of similar length are encoded together, for less padding.
        """
        for span in spans:
            texts = list(self._texts[span])
            if self._drop is not None:
                texts = [self._drop(text, span.start + row + 1) for row, text in enumerate(texts)]
            present = [row for row, text in enumerate(texts) if text]
            present.sort(key=lambda row: (len(texts[row]), row))
            chunk = _empty(len(texts), self.dim)
            chunk.status[present] = Status.OK
            for start in range(0, len(present), self._batch_size):
                rows = present[start : start + self._batch_size]
                vectors = self._encode([texts[row] for row in rows])
                chunk.rows[rows] = _fitting(vectors.rows, (len(rows), self.dim), self.recipe)
                chunk.truncated[rows] = vectors.truncated
            if isinstance(self._encoder, ItemEncoder):
                chunk.status[~chunk.rows.any(axis=1)] = Status.NONE
            yield _without_senseless(chunk)

    def _encode(self, texts: list[str]) -> TextVectors:
        if isinstance(self._encoder, ItemEncoder):
            return TextVectors(self._encoder.encode(texts), np.zeros(len(texts), bool))
        return self._encoder.encode_texts(texts)


class ImageJob:
    """Pictures, decoded by ``workers`` threads; Pillow lets them run side by side.

    ``names`` are those of items 1..N's files, as ``items.parquet`` keeps them, none or several for an item, whose
    features are then their mean. Relative ones count from the folder ``domain``. ``folders`` are those where they
    may lie besides it and beside it.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        names: Sequence[Sequence[str]],
        domain: Path,
        batch_size: int,
        workers: int,
        folders: Sequence[Path] = (),
    ) -> None:
        require_pillow()
        self.recipe, self.dim = encoder.image_recipe, encoder.image_dim
        self._encoder, self._batch_size, self._workers = encoder, batch_size, workers
        self._names = [name for several in names for name in several]
        self._files = [file for file in image_files(domain, self._names, folders) if file is not None]
        self._offsets = offsets_of([len(several) for several in names])

    def key(self) -> dict[str, Any]:
        """Plain values that decide about the vectors: recipe, decoding, files and batches."""
        digest = hashlib.sha256(
            _files_digest(self._names, self._files).encode() + self._offsets.tobytes()
        ).hexdigest()
        recipe = self.recipe.deciding()
        return {"recipe": recipe, "decoding": VERSION, "files": digest, "batch": self._batch_size}

    def encoded(self, spans: Iterable[slice]) -> Iterator[Chunk]:
        """The chunks of the given items; the next chunks' pictures are decoded while one is encoded."""
        quiet_decoders()
        preprocessing = self._encoder.preprocessing
        waiting: list[tuple[slice, list[Future[Any]]]] = []
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for span in spans:
                    files = self._files[self._offsets[span.start] : self._offsets[span.stop]]
                    waiting.append((span, [pool.submit(read_picture, file, preprocessing) for file in files]))
                    if len(waiting) > _AHEAD:
                        yield self._encode(*waiting.pop(0))
                while waiting:
                    yield self._encode(*waiting.pop(0))
            finally:
                pool.shutdown(cancel_futures=True)

    def _encode(self, span: slice, futures: list[Future[Any]]) -> Chunk:
        read = [future.result() for future in futures]
        owner = np.repeat(np.arange(span.stop - span.start), np.diff(self._offsets[span.start : span.stop + 1]))
        chunk = _empty(span.stop - span.start, self.dim)
        sound = np.array([at for at, (status, *_) in enumerate(read) if status == Status.OK], np.int64)
        for start in range(0, len(sound), self._batch_size):
            batch = sound[start : start + self._batch_size]
            vectors = self._encoder.encode_images(np.stack([read[at][1] for at in batch]))
            np.add.at(chunk.rows, owner[batch], _fitting(vectors, (len(batch), self.dim), self.recipe))
        for at, (status, told, notes) in enumerate(read):
            row = int(owner[at])
            if status > Status.NONE:  # of several pictures the broken ones are left out
                chunk.status[row] = status
                chunk.reasons.append((row, str(told)))
            chunk.notes.extend((row, note) for note in notes)
        found = np.bincount(owner[sound], minlength=len(chunk.status))
        chunk.status[found > 0] = Status.OK
        chunk.rows[found > 1] /= found[found > 1, None].astype(np.float32)
        return _without_senseless(chunk)


Job: TypeAlias = TextJob | ImageJob


def _files_digest(names: Sequence[str], files: Sequence[Path | None]) -> str:
    """A digest of names, sizes and times of files.

    The time reveals a picture that was replaced by one of the same size. Only whole seconds survive copying.
    """
    digest = hashlib.sha256()
    for name, file in zip(names, files, strict=True):
        state = file.stat() if file is not None and file.is_file() else None
        digest.update(f"{name}\0{state and (state.st_size, int(state.st_mtime))}\n".encode())
    return digest.hexdigest()


def _empty(size: int, dim: int) -> Chunk:
    status: npt.NDArray[np.uint8] = np.full(size, Status.NONE, np.uint8)
    return Chunk(np.zeros((size, dim), np.float32), status, np.zeros(size, bool), [])


def _fitting(rows: npt.ArrayLike, shape: tuple[int, int], recipe: Recipe) -> npt.NDArray[np.float32]:
    vectors = np.asarray(rows, np.float32)
    if vectors.shape != shape:
        raise ConfigError(f"encoder {recipe.encoder}: gave vectors of shape {vectors.shape}, expected {shape}")
    return vectors


def _without_senseless(chunk: Chunk) -> Chunk:
    """Marks items whose vectors are zeros, NaN or infinity as missing, with the reason."""
    sensible = np.isfinite(chunk.rows).all(axis=1) & chunk.rows.any(axis=1)
    for row in np.flatnonzero((chunk.status == Status.OK) & ~sensible):
        chunk.status[row] = Status.UNENCODABLE
        chunk.reasons.append((int(row), "the encoder gave zeros, NaN or infinity"))
    chunk.rows[chunk.status != Status.OK] = 0
    return chunk
