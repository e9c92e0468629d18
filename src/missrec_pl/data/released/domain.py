"""One domain of a released folder: its rows, index, texts and features joined and checked.

The number of items is the number of lines of ``.item2index``. Without that file it is the largest item
token plus one, accepted if it divides the feature files; raw item ids are then the row numbers.
"""

import logging
import re
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.files import BLOCK_ROWS
from missrec_pl.data.domain.manifest import UNKNOWN_ENCODER
from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.released.number_types import TYPES, looks_like, widened
from missrec_pl.data.released.rows import Rows, read_index, read_texts
from missrec_pl.data.released.sequences import Reconstruction, reconstruct
from missrec_pl.errors import DataError

_log = logging.getLogger(__name__)
_WARN_FROM, _REFUSE_FROM = 0.01, 0.5  # shares of ids without a partner, as in `prepare`
_MODALITIES = {"text": "feat1CLS", "image": "feat3CLS"}
_VIEWS = {"text_worddrop": "feat2CLS"}
FURTHER_FEATURES = re.compile(r"feat_([a-z][a-z0-9_]*)CLS")
"""Suffix of a modality that the authors' format does not know, such as ``feat_audioCLS``."""
_TEXT = bytes(range(32, 127)) + b"\t\r\n"


@dataclass(frozen=True)
class ReleasedDomain:
    """One domain of a released folder.

    Attributes:
        name: Stem of its files.
        raw_item_ids: Ids of items 1..N.
        texts: Texts of items 1..N, "" where unknown.
        users: Whole sequences and raw user ids.
        features: Memory-mapped feature files, by modality.
        views: Likewise, for augmentation.
        split: ``leave_one_out``, or ``train_only`` for a pre-training set.
    """

    name: str
    raw_item_ids: list[str]
    texts: list[str]
    users: Reconstruction
    features: dict[str, FeatureMatrix]
    views: dict[str, FeatureMatrix]
    split: str

    def write(self, path: Path, *, source: Path, overwrite: bool = False) -> Path:
        """Writes the domain to the native folder ``path``; ``source`` is noted in its ``domain.json``."""
        return write_domain(
            path,
            name=self.name,
            raw_item_ids=self.raw_item_ids,
            texts=self.texts,
            sequences=self.users.sequences,
            raw_user_ids=self.users.users,
            features=self.features,
            views=self.views,
            created_by={
                "program": "missrec_pl.data.released",
                "source": str(source.resolve()),
                "split": self.split,
                "missing_prefixes": self.users.missing_prefixes,
                "max_history": self.users.max_history,
            },
            overwrite=overwrite,
        )


def read_domain(
    folder: Path, name: str, splits: dict[str, Rows], feature_type: str | None = None
) -> ReleasedDomain:
    """Joins the rows of one domain (``train``, ``valid`` and ``test``, or ``train`` alone) with its other files.

    Raises:
        DataError: A file is missing, damaged, or does not fit the others.
    """
    largest = max(int(max(rows.items.max(), rows.targets.max())) for rows in splits.values())
    index = folder / f"{name}.item2index"
    raw_ids = read_index(index) if index.exists() else [str(row) for row in range(largest + 1)]
    _check_catalogue(splits, len(raw_ids), index)
    suffixes = sorted(file.name.removeprefix(f"{name}.") for file in folder.glob(f"{escape(name)}.feat_*CLS"))
    further = {found[1]: suffix for suffix in suffixes if (found := FURTHER_FEATURES.fullmatch(suffix))}
    matrices = {
        kind: _read_features(
            folder / f"{name}.{suffix}", raw_ids, counted=index.is_file(), feature_type=feature_type
        )
        for kind, suffix in {**_MODALITIES, **further, **_VIEWS}.items()
        if (folder / f"{name}.{suffix}").is_file()
    }
    features = {kind: matrix for kind, matrix in matrices.items() if kind not in _VIEWS}
    if not features:
        raise DataError(f"{folder} has neither {name}.feat1CLS (text) nor {name}.feat3CLS (image)")
    views = {kind: matrix for kind, matrix in matrices.items() if kind in _VIEWS}
    _check_views(folder / name, features, views)
    users = reconstruct(splits)
    if users.missing_prefixes:
        message = "%s: %d prefixes of the training sequences have no row in %s.train.inter; here they train too"
        _log.warning(message, folder, users.missing_prefixes, name)
    texts = _texts(folder / f"{name}.text", raw_ids, index)
    return ReleasedDomain(
        name=name,
        raw_item_ids=raw_ids,
        texts=[texts.get(raw, "") for raw in raw_ids],
        users=_with_raw_ids(users, folder / f"{name}.user2index"),
        features=features,
        views=views,
        split="leave_one_out" if "test" in splits else "train_only",
    )


def _texts(path: Path, raw_ids: list[str], index: Path) -> dict[str, str]:
    """The texts by raw id; none without the file. Items without one are told, and texts of unknown items."""
    texts = read_texts(path) if path.is_file() else {}
    if not texts or not index.is_file():  # without an index nobody knows the items' ids
        return texts
    known = set(raw_ids)
    without = [raw for raw in raw_ids if raw not in texts]
    unknown = [raw for raw in texts if raw not in known]
    told = [
        f"{here}: {len(odd):,} of {count:,} ids are not in {there.name}, such as {', '.join(odd[:3])}"
        for here, there, odd, count in (
            (index, path, without, len(raw_ids)),
            (path, index, unknown if without else [], len(texts)),  # texts of further items are sound
        )
        if len(odd) >= max(1, _WARN_FROM * count)
    ]
    if len(raw_ids) - len(without) <= (1 - _REFUSE_FROM) * min(len(texts), len(raw_ids)):
        raise DataError(f"{told[-1]}; it is of another edition: supply the one of this set, or none")
    for line in told:
        _log.warning("%s", line)
    return texts


def _check_catalogue(splits: dict[str, Rows], num_items: int, index: Path) -> None:
    for rows in splits.values():
        every_row = np.arange(len(rows))
        for values, row_of in ((rows.targets, every_row), (rows.items, np.repeat(every_row, rows.lengths()))):
            outside = values >= num_items
            if outside.any():
                at = int(np.argmax(outside))
                raise DataError(
                    f"{rows.where(int(row_of[at]))}: item {values[at]} is outside the catalogue; {index.name} "
                    f"lists rows 0..{num_items - 1}"
                )


def _check_views(stem: Path, features: dict[str, FeatureMatrix], views: dict[str, FeatureMatrix]) -> None:
    expected = features["text"].rows.shape[1] if "text" in features else None
    for width in (view.rows.shape[1] for view in views.values()):
        if width != expected:
            raise DataError(
                f"{stem}.feat2CLS has wrong width {width}: {stem.name}.feat1CLS, of which it is a view, "
                + (f"has {expected}" if expected else "is missing")
            )


def _with_raw_ids(users: Reconstruction, path: Path) -> Reconstruction:
    if not path.is_file():
        return users
    raw_ids = read_index(path)
    unknown = [token for token in users.users if not token.isdecimal() or int(token) >= len(raw_ids)]
    if unknown:
        raise DataError(f"{path} has no user {unknown[0]}; it lists 0..{len(raw_ids) - 1}")
    return replace(users, users=[raw_ids[int(token)] for token in users.users])


def _read_features(
    path: Path, raw_ids: list[str], *, counted: bool, feature_type: str | None = None
) -> FeatureMatrix:
    """Maps a ``.feat*CLS`` file of one row for each raw id; the width follows from its size.

    ``counted`` says whether the number of rows is known from ``.item2index``, not guessed from the tokens.
    ``feature_type`` is one of ``TYPES``; None: float32, if the bytes look like it.

    Raises:
        DataError: The size is no whole number of rows, or a row has NaN or infinite values.
    """
    size, count = path.stat().st_size, len(raw_ids)
    kind = TYPES[feature_type or "float32"]
    width, rest = divmod(size, kind.itemsize * count)
    if rest or not width:
        with path.open("rb") as stream:
            guess = looks_like(stream.read(1 << 20)) if feature_type is None else None
        reason = (
            f"they look like {guess}: say --feature-type {guess}"
            if guess in TYPES
            else f"it is truncated, or {path.stem}.item2index belongs to another set"
            if counted
            else f"{path.stem}.item2index is missing, so the number of rows is not known: supply it"
        )
        raise DataError(
            f"{path}: {size} bytes are not {count} rows of {feature_type or 'float32'} "
            f"({size / kind.itemsize / count:.2f} a row); {reason}"
        )
    rows: npt.NDArray[Any] = np.memmap(path, dtype=kind, mode="r", shape=(count, width))
    _check_kind(path, rows[:BLOCK_ROWS], feature_type)
    present = np.zeros(count, bool)
    for start in range(0, count, BLOCK_ROWS):
        block = widened(np.asarray(rows[start : start + BLOCK_ROWS]), feature_type or "float32")
        broken = ~np.isfinite(block).all(axis=1)
        if broken.any():
            row = start + int(np.argmax(broken))
            raise DataError(
                f"{path}: row {row} (item {raw_ids[row]}) has NaN or infinite features; extract them again"
            )
        present[start : start + len(block)] = block.any(axis=1)
    given = rows if feature_type is None else WidenedRows(rows, feature_type)
    return FeatureMatrix(given, present, encoder=f"{UNKNOWN_ENCODER}{path.suffix[1:]}")


class WidenedRows:
    """Rows of another type, float32 when they are asked for."""

    def __init__(self, rows: npt.NDArray[Any], kind: str) -> None:
        self._rows, self._kind = rows, kind
        self.shape = rows.shape

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float32]:
        return widened(np.asarray(self._rows[rows]), self._kind)


def _check_kind(path: Path, rows: npt.NDArray[Any], feature_type: str | None) -> None:
    """Raises DataError for text, and for values of which many have a magnitude that no encoder gives."""
    content = rows.tobytes()
    is_text = not content.translate(None, _TEXT)
    guess = None if is_text or feature_type is not None else looks_like(content)
    if _plausible(widened(rows, feature_type or "float32")) >= 0.9 and not is_text and guess is None:
        return
    told = ", they are text" if is_text else f", they look like {guess}" if guess else ""
    flag = f", or say --feature-type {guess}" if guess in TYPES else ""
    wanted = feature_type or "little-endian float32"
    raise DataError(
        f"{path}: the bytes are no {wanted} features{told}; write them with .astype('<f4').tofile(){flag}"
    )


def _plausible(values: npt.NDArray[np.floating[Any]]) -> float:
    """Share of the finite values other than zero whose magnitude an encoder may give."""
    with np.errstate(invalid="ignore"):
        sizes = np.abs(values[values != 0].astype(np.float64))
    known = sizes[np.isfinite(sizes)]
    return 1.0 if not len(known) else float(((known > 1e-12) & (known < 1e12)).mean())
