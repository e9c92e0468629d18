"""One domain of a released folder: its rows, index, texts and features joined and checked.

The number of items is the number of lines of ``.item2index``. Without that file it is the largest item
token plus one, accepted if it divides the feature files; raw item ids are then the row numbers.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.released.features import read_features
from missrec_pl.data.released.rows import Rows, read_index, read_texts
from missrec_pl.data.released.sequences import Reconstruction, reconstruct
from missrec_pl.errors import DataError

_log = logging.getLogger(__name__)
_MODALITIES = {"text": "feat1CLS", "image": "feat3CLS"}
_VIEWS = {"text_worddrop": "feat2CLS"}


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


def read_domain(folder: Path, name: str, splits: dict[str, Rows]) -> ReleasedDomain:
    """Joins the rows of one domain with its index, texts and features.

    Args:
        folder: The released folder.
        name: Stem of the domain's files.
        splits: ``train``, ``valid`` and ``test`` rows, or ``train`` alone.

    Raises:
        DataError: A file is missing, damaged, or does not fit the others.
    """
    largest = max(int(max(rows.items.max(), rows.targets.max())) for rows in splits.values())
    index = folder / f"{name}.item2index"
    raw_ids = read_index(index) if index.exists() else [str(row) for row in range(largest + 1)]
    _check_catalogue(splits, len(raw_ids), index)
    matrices = {
        kind: read_features(folder / f"{name}.{suffix}", raw_ids, counted=index.is_file())
        for kind, suffix in {**_MODALITIES, **_VIEWS}.items()
        if (folder / f"{name}.{suffix}").is_file()
    }
    features = {kind: matrices[kind] for kind in _MODALITIES if kind in matrices}
    if not features:
        raise DataError(f"{folder} has neither {name}.feat1CLS (text) nor {name}.feat3CLS (image)")
    views = {kind: matrices[kind] for kind in _VIEWS if kind in matrices}
    _check_views(folder, name, features, views)
    users = reconstruct(splits)
    if users.missing_prefixes:
        message = "%s: %d prefixes of the training sequences have no row in %s.train.inter; here they train too"
        _log.warning(message, folder, users.missing_prefixes, name)
    return ReleasedDomain(
        name=name,
        raw_item_ids=raw_ids,
        texts=_texts(folder / f"{name}.text", raw_ids),
        users=_with_raw_ids(users, folder / f"{name}.user2index"),
        features=features,
        views=views,
        split="leave_one_out" if "test" in splits else "train_only",
    )


def _check_catalogue(splits: dict[str, Rows], num_items: int, index: Path) -> None:
    for rows in splits.values():
        for values, row_of in ((rows.targets, None), (rows.items, rows.lengths())):
            outside = values >= num_items
            if outside.any():
                at = int(np.argmax(outside))
                row = at if row_of is None else int(np.repeat(np.arange(len(rows)), row_of)[at])
                raise DataError(
                    f"{rows.where(row)}: item {values[at]} is outside the catalogue; {index.name} lists rows "
                    f"0..{num_items - 1}"
                )


def _check_views(
    folder: Path, name: str, features: dict[str, FeatureMatrix], views: dict[str, FeatureMatrix]
) -> None:
    for view in views.values():
        width, expected = view.rows.shape[1], features["text"].rows.shape[1] if "text" in features else None
        if width != expected:
            raise DataError(
                f"{folder / name}.feat2CLS has wrong width {width}: {name}.feat1CLS, of which it is a view, "
                + (f"has {expected}" if expected else "is missing")
            )


def _texts(path: Path, raw_ids: list[str]) -> list[str]:
    if not path.is_file():
        return [""] * len(raw_ids)
    texts = read_texts(path)
    return [texts.get(raw, "") for raw in raw_ids]


def _with_raw_ids(users: Reconstruction, path: Path) -> Reconstruction:
    if not path.is_file():
        return users
    raw_ids = read_index(path)
    unknown = [token for token in users.users if not token.isdecimal() or int(token) >= len(raw_ids)]
    if unknown:
        raise DataError(f"{path} has no user {unknown[0]}; it lists 0..{len(raw_ids) - 1}")
    return replace(users, users=[raw_ids[int(token)] for token in users.users])
