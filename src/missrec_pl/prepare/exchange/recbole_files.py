"""A domain folder as RecBole's plain atomic files, ``<name>.inter`` and ``<name>.item``: RecBole splits them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.replacing import replacing
from missrec_pl.errors import DataError

_INTER = "user_id:token\titem_id:token\ttimestamp:float"
_ITEM = "item_id:token\ttext:token_seq"


def write_recbole(path: Path, out: Path, *, name: str | None = None, overwrite: bool = False) -> Path:
    """One line for each interaction, with raw ids.

    Without timestamps the position in the user's sequence stands for the time: RecBole sorts by it. Features go to
    ``<name>.<modality>emb`` (``item_id:token``, ``<modality>:float_seq``), which ``additional_feat_suffix`` loads.

    Args:
        path: The domain folder.
        out: The folder to make.
        name: Stem of the files; RecBole wants it to be the folder's name, which is the default.
        overwrite: Replace an empty folder; anything else that exists is never replaced.

    Raises:
        DataError: ``out`` exists, or an id has a tab or line end.
    """
    domain = Domain.open(path)
    stem = name or out.name
    items, users = domain.raw_item_ids(), domain.raw_user_ids()
    for raw in (*items[1:], *users):
        if not raw or any(letter in raw for letter in "\t\n\r"):
            raise DataError(f"{path}: id {raw!r} cannot be written to a file of lines and tabs; rename it")
    with replacing(out, overwrite=overwrite) as folder:
        with (folder / f"{stem}.inter").open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(_INTER + "\n")
            sequences = domain.sequences
            times = sequences.timestamps
            for number, user in enumerate(users):
                here = slice(sequences.offsets[number], sequences.offsets[number + 1])
                moments = range(len(sequences.items[here])) if times is None else times[here].tolist()
                for item, moment in zip(sequences.items[here].tolist(), moments, strict=True):
                    stream.write(f"{user}\t{items[item]}\t{moment}\n")
        with (folder / f"{stem}.item").open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(_ITEM + "\n")
            for raw, text in zip(items[1:], domain.texts()[1:], strict=True):
                stream.write(f"{raw}\t{' '.join(text.split())}\n")
        for modality in domain.modalities:
            _write_vectors(folder / f"{stem}.{modality}emb", modality, domain, items)
    return out


def _write_vectors(path: Path, modality: str, domain: Domain, items: list[str]) -> None:
    rows = domain.features(modality)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"{modality}_item_id:token\t{modality}:float_seq\n")
        for item in np.flatnonzero(domain.present(modality)).tolist():
            stream.write(f"{items[item]}\t{' '.join(map(repr, np.asarray(rows[item], np.float64).tolist()))}\n")
