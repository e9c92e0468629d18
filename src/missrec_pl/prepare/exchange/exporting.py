"""Domain folders in the released format (UniSRec's and RecBole's benchmark files) and as RecBole's atomic files.

Released files list items and users by number, and a user's training rows with the longest history first.
Texts have no white space around them, no line ends and no tabs. Otherwise a folder that was read comes back
the same.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.replacing import replacing
from missrec_pl.data.released.rows import INTER_HEADER, TEXT_HEADER
from missrec_pl.errors import DataError
from missrec_pl.system.names import check_name

_log = logging.getLogger(__name__)
_KNOWN = {"text": "feat1CLS", "text_worddrop": "feat2CLS", "image": "feat3CLS"}
_BLOCK_ROWS = 65_536
_LONGEST = 50
Ints = npt.NDArray[np.int64]


def write_released(path: Path, out: Path, *, name: str, overwrite: bool = False) -> Path:
    """Writes a domain folder with its leave-one-out split as ``out/<name>.*``.

    Raises:
        DataError: ``out`` exists, or an id has a tab or line end.
    """
    check_name(name, str(out))
    domain = Domain.open(path)
    lengths = domain.sequences.lengths()
    with replacing(out, overwrite=overwrite) as folder:
        _write_items(folder, name, domain)
        for split, firsts, ends in (
            ("train", np.ones_like(lengths), np.maximum(lengths - 2, 0)),
            ("valid", np.maximum(lengths - 2, 1), lengths - 1),
            ("test", np.maximum(lengths - 1, 1), lengths),
        ):
            _write_lines(folder / f"{name}.{split}.inter", INTER_HEADER, _rows(domain, firsts, ends))
    return out


def write_merged(paths: Sequence[Path], out: Path, *, name: str, overwrite: bool = False) -> Path:
    """Writes several domain folders as one pre-training set; ``name`` is the stem of the joint files.

    Every prefix is a training row; item tokens are ``<domain number>-<row>``.

    Raises:
        DataError: ``out`` exists, two domains have one name, or an id has a tab or line end.
    """
    check_name(name, str(out))
    domains = [Domain.open(path) for path in paths]
    names = [domain.name for domain in domains]
    if len(set(names)) < len(names) or name in names:
        raise DataError(
            f"merged folders name their files after the domains: {', '.join(names)} and {name} collide"
        )

    def rows() -> Iterator[str]:
        for number, domain in enumerate(domains):
            lengths = domain.sequences.lengths()
            yield from _rows(domain, np.ones_like(lengths), lengths, f"{number}-")
            domain.forget_sequences()

    with replacing(out, overwrite=overwrite) as folder:
        (folder / f"{name}.pt_datasets").write_text(",".join(names) + "\n", encoding="utf-8")
        for domain in domains:
            _write_items(folder, domain.name, domain)
        _write_lines(folder / f"{name}.train.inter", INTER_HEADER, rows())
    return out


def write_recbole(path: Path, out: Path, *, name: str, overwrite: bool = False) -> Path:
    """Writes a domain folder as one line for each interaction, with raw ids; RecBole splits them.

    Without timestamps the position in the user's sequence stands for the time, by which RecBole sorts. Every
    modality goes to ``<name>.<modality>emb`` (``<modality>_item_id:token``, ``<modality>:float_seq``), which
    ``additional_feat_suffix`` loads. Items that lack the modality have no line there.

    Raises:
        DataError: ``out`` exists, or an id has a tab or line end.
    """
    check_name(name, str(out))
    domain = Domain.open(path)
    items, users = domain.raw_item_ids(), domain.raw_user_ids()
    _check_ids([*items[1:], *users], path)
    texts = (f"{raw}\t{' '.join(text.split())}\n" for raw, text in zip(items[1:], domain.texts()[1:], strict=True))
    with replacing(out, overwrite=overwrite) as folder:
        header = "user_id:token\titem_id:token\ttimestamp:float"
        _write_lines(folder / f"{name}.inter", header, _interactions(domain, items, users))
        _write_lines(folder / f"{name}.item", "item_id:token\ttext:token_seq", texts)
        for modality in domain.modalities:
            header = f"{modality}_item_id:token\t{modality}:float_seq"
            _write_lines(folder / f"{name}.{modality}emb", header, _vectors(domain, modality, items))
    return out


def _write_items(folder: Path, stem: str, domain: Domain) -> None:
    """Indexes, texts and features of a domain in the released format."""
    ids, users = domain.raw_item_ids()[1:], domain.raw_user_ids()
    for suffix, raw_ids in (("item2index", ids), ("user2index", users)):
        _check_ids(raw_ids, domain.path)
        lines = "".join(f"{raw}\t{number}\n" for number, raw in enumerate(raw_ids))
        (folder / f"{stem}.{suffix}").write_text(lines, encoding="utf-8")
    texts = (f"{raw}\t{_quoted(text)}\n" for raw, text in zip(ids, domain.texts()[1:], strict=True))
    _write_lines(folder / f"{stem}.text", TEXT_HEADER, texts)
    for name in (*domain.modalities, *domain.views):
        suffix = _KNOWN.get(name, f"feat_{name}CLS")
        if name in domain.views and name not in _KNOWN:
            _log.warning("%s: the view %s has no place in released files and is left out", domain.path, name)
            continue
        if name not in _KNOWN:
            _log.warning("%s.%s holds %s features: the authors' code does not read it", stem, suffix, name)
        rows = domain.features(name)
        with (folder / f"{stem}.{suffix}").open("wb") as stream:
            for start in range(1, len(rows), _BLOCK_ROWS):
                np.asarray(rows[start : start + _BLOCK_ROWS]).astype("<f4").tofile(stream)


def _write_lines(path: Path, header: str, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(header + "\n")
        stream.writelines(lines)


def _rows(domain: Domain, firsts: Ints, ends: Ints, prefix: str = "") -> Iterator[str]:
    """For every user a row for each target ``ends[u] - 1`` down to ``firsts[u]`` (positions counted from 0)."""
    longest = int(domain.manifest.created_by.get("max_history", _LONGEST))  # where the source cut histories
    offsets = domain.sequences.offsets
    for user, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True)):
        items = domain.sequences.items[offsets[user] : offsets[user] + max(end, 0)].tolist()
        tokens = [f"{prefix}{item - 1}" for item in items]
        for target in range(end - 1, first - 1, -1):
            yield f"{user}\t{' '.join(tokens[max(0, target - longest) : target])}\t{tokens[target]}\n"


def _interactions(domain: Domain, items: list[str], users: list[str]) -> Iterator[str]:
    sequences = domain.sequences
    times = sequences.timestamps
    for number, user in enumerate(users):
        here = slice(sequences.offsets[number], sequences.offsets[number + 1])
        moments = range(here.stop - here.start) if times is None else times[here].tolist()
        for item, moment in zip(sequences.items[here].tolist(), moments, strict=True):
            yield f"{user}\t{items[item]}\t{moment}\n"


def _vectors(domain: Domain, modality: str, items: list[str]) -> Iterator[str]:
    rows = domain.features(modality)
    for item in np.flatnonzero(domain.present(modality)).tolist():
        yield f"{items[item]}\t{' '.join(map(repr, np.asarray(rows[item], np.float64).tolist()))}\n"


def _check_ids(ids: Sequence[str], where: Path) -> None:
    bad = next((raw for raw in ids if not raw or any(letter in raw for letter in "\t\n\r")), None)
    if bad is not None:
        raise DataError(
            f"{where}: id {bad!r} cannot be written to a file of lines and tabs; rename it at the source"
        )


def _quoted(text: str) -> str:
    """On one line; in quotes, as in CSV, if it contains any."""
    plain = re.sub(r"[\t\r\n]+", " ", text.strip())
    return '"' + plain.replace('"', '""') + '"' if '"' in plain else plain
