"""Domain folders in the released format (UniSRec's and RecBole's benchmark files), single or merged.

Order of what is written: items and users by number; a user's training rows longest history first, as the authors'.
Texts have no white space around them, no line ends and no tabs. Nothing else differs from a folder that was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.replacing import replacing
from missrec_pl.data.released.rows import INTER_HEADER, TEXT_HEADER
from missrec_pl.errors import DataError

SUFFIXES = {"text": "feat1CLS", "text_worddrop": "feat2CLS", "image": "feat3CLS"}
_BLOCK_ROWS = 65_536
_LONGEST = 50
Ints = npt.NDArray[np.int64]


def write_released(path: Path, out: Path, *, name: str | None = None, overwrite: bool = False) -> Path:
    """One domain with its leave-one-out split.

    Args:
        path: The domain folder.
        out: The folder to make.
        name: Stem of the files; default: the domain's name.
        overwrite: Replace an empty folder; anything else that exists is never replaced.

    Raises:
        DataError: ``out`` exists, or an id has a tab or line end.
    """
    domain = Domain.open(path)
    stem = name or domain.name
    lengths = domain.sequences.lengths()
    trained = np.maximum(lengths - 2, 0)
    with replacing(out, overwrite=overwrite) as folder:
        write_items(folder, stem, domain)
        for split, firsts, ends in (
            ("train", np.ones_like(lengths), trained),
            ("valid", np.maximum(lengths - 2, 1), lengths - 1),
            ("test", np.maximum(lengths - 1, 1), lengths),
        ):
            with (folder / f"{stem}.{split}.inter").open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(INTER_HEADER + "\n")
                stream.writelines(_rows(domain, firsts, ends, longest_history(domain)))
    return out


def write_merged(paths: Sequence[Path], out: Path, *, name: str, overwrite: bool = False) -> Path:
    """Several domains as one pre-training set: every prefix is a training row, tokens are ``<domain>-<row>``.

    Args:
        paths: The domain folders, in the order of their numbers.
        out: The folder to make.
        name: Stem of the joint files.
        overwrite: As for :func:`write_released`.

    Raises:
        DataError: ``out`` exists, two domains have one name, or an id has a tab or line end.
    """
    domains = [Domain.open(path) for path in paths]
    names = [domain.name for domain in domains]
    if len(set(names)) < len(names) or name in names:
        raise DataError(
            f"merged folders name their files after the domains: {', '.join(names)} and {name} collide"
        )
    with replacing(out, overwrite=overwrite) as folder:
        (folder / f"{name}.pt_datasets").write_text(",".join(names) + "\n", encoding="utf-8")
        with (folder / f"{name}.train.inter").open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(INTER_HEADER + "\n")
            for number, domain in enumerate(domains):
                write_items(folder, domain.name, domain)
                lengths = domain.sequences.lengths()
                rows = _rows(domain, np.ones_like(lengths), lengths, longest_history(domain), f"{number}-")
                stream.writelines(rows)
                domain.forget_sequences()
    return out


def longest_history(domain: Domain) -> int:
    """Length at which the source cut histories, 50 unless the domain came from a released folder."""
    return int(domain.manifest.created_by.get("max_history", _LONGEST))


def write_items(folder: Path, stem: str, domain: Domain) -> None:
    """Indexes, texts and features of a domain."""
    ids = domain.raw_item_ids()[1:]
    _write_index(folder / f"{stem}.item2index", ids, domain.path)
    _write_index(folder / f"{stem}.user2index", domain.raw_user_ids(), domain.path)
    with (folder / f"{stem}.text").open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(TEXT_HEADER + "\n")
        stream.writelines(f"{raw}\t{_quoted(text)}\n" for raw, text in zip(ids, domain.texts()[1:], strict=True))
    for name in (*domain.modalities, *domain.views):
        if name in SUFFIXES:
            rows = domain.features(name)
            with (folder / f"{stem}.{SUFFIXES[name]}").open("wb") as binary:
                for start in range(1, len(rows), _BLOCK_ROWS):
                    np.asarray(rows[start : start + _BLOCK_ROWS]).astype("<f4").tofile(binary)


def _rows(domain: Domain, firsts: Ints, ends: Ints, longest: int, prefix: str = "") -> Iterator[str]:
    """For every user a row for each target ``ends[u] - 1`` down to ``firsts[u]`` (positions counted from 0)."""
    offsets = domain.sequences.offsets
    for user, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True)):
        if end <= first:
            continue
        tokens = [
            f"{prefix}{item - 1}" for item in domain.sequences.items[offsets[user] : offsets[user] + end].tolist()
        ]
        for target in range(end - 1, first - 1, -1):
            yield f"{user}\t{' '.join(tokens[max(0, target - longest) : target])}\t{tokens[target]}\n"


def _write_index(path: Path, ids: Sequence[str], where: Path) -> None:
    bad = next((raw for raw in ids if not raw or any(letter in raw for letter in "\t\n\r")), None)
    if bad is not None:
        raise DataError(
            f"{where}: id {bad!r} cannot be written to a file of lines and tabs; rename it at the source"
        )
    path.write_text("".join(f"{raw}\t{number}\n" for number, raw in enumerate(ids)), encoding="utf-8")


def _quoted(text: str) -> str:
    """On one line; in quotes, as in CSV, if it contains any."""
    plain = re.sub(r"[\t\r\n]+", " ", text.strip())
    return '"' + plain.replace('"', '""') + '"' if '"' in plain else plain
