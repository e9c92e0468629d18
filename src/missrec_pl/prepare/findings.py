"""Plausibility of a domain whose files are sound: facts, and warnings where a fact looks like a mistake."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.splits import make_split

_SAMPLE = 1_000
_PERMUTATIONS = 100
_SIGMAS = 3.0  # how far aligned rows stand above shuffled ones; below, the order of the rows is in doubt
_FEW = 30  # items, below which a weak agreement says nothing
_COPIES = 0.05  # share of items with one and the same vector that looks like a placeholder
_USUAL_SIZE = (1e-3, 1e3)  # of values: beyond it vectors are of another scale than encoders give
_EQUAL = 1e-3  # relative difference below which two vectors are one, whatever type they were stored in


@dataclass(frozen=True)
class Finding:
    """One line of ``prepare check``."""

    text: str
    is_warning: bool = False


def findings(domain: Domain) -> Iterator[Finding]:
    """Coverage, norms, copies and row order of every modality; what splits share; the order of time."""
    for name in domain.modalities:
        yield from _features(domain, name)
    if not domain.modalities:
        yield Finding("no features yet: python -m missrec_pl.prepare features", True)
    yield from _splits(domain)


def oddities(domain: Domain, name: str) -> Iterator[Finding]:
    """What is odd about the values of one modality: scale, rows and columns without content, copies, another's."""
    present = np.flatnonzero(domain.present(name))
    chosen = np.sort(np.random.default_rng(0).permutation(present)[: 20 * _SAMPLE])
    rows = np.asarray(domain.features(name))[chosen].astype(np.float64)
    size = float(np.sqrt(np.mean(rows**2)))
    if not _USUAL_SIZE[0] <= size <= _USUAL_SIZE[1]:
        yield Finding(f"{name}: values are of size {size:.3g}, networks expect about 0.01 to 10: scale them", True)
    elif size > 8 and (rows == np.round(rows)).all():
        yield Finding(
            f"{name}: whole numbers up to {np.abs(rows).max():.0f}: quantised without their scale?", True
        )
    flat = (rows == rows[:, :1]).all(axis=1) if rows.shape[1] > 1 else np.zeros(len(rows), bool)
    if flat.any():
        item = domain.raw_item_ids()[int(chosen[int(np.argmax(flat))])]
        yield Finding(f"{name}: {flat.mean():.1%} of the rows hold one value only, such as that of {item}", True)
    dead = (rows == rows[:1]).all(axis=0)
    if len(rows) > 2 and dead.any():
        yield Finding(
            f"{name}: {dead.sum()} of {len(dead)} columns are the same for all items", bool(dead.mean() > 0.5)
        )
    _, copies = np.unique(rows, axis=0, return_counts=True)
    if copies.max() > max(2, _COPIES * len(rows)):
        share = copies.max() / len(rows)
        yield Finding(f"{name}: {share:.1%} of the items have the same vector: a placeholder?", True)
    elif (copied := 1 - len(copies) / len(rows)) > 0.01:
        yield Finding(f"{name}: {copied:.1%} of the rows are copies of others")
    for other in domain.modalities:
        both = chosen[domain.present(other)[chosen]]
        if other == name or domain.info(other).dim != rows.shape[1] or not len(both):
            continue
        mine, theirs = (np.asarray(domain.features(one))[both].astype(np.float64) for one in (name, other))
        gap = np.linalg.norm(mine - theirs, axis=1) / np.maximum(np.linalg.norm(theirs, axis=1), 1e-12)
        if (share := float((gap < _EQUAL).mean())) > 0.5:
            yield Finding(f"{name}: {share:.1%} of the rows equal those of {other}: the same file twice?", True)


def _features(domain: Domain, name: str) -> Iterator[Finding]:
    present = np.flatnonzero(domain.present(name))
    random = np.random.default_rng(0)
    chosen = np.sort(random.permutation(present)[: 20 * _SAMPLE])
    rows = np.asarray(domain.features(name))[chosen].astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    coverage = len(present) / domain.num_items
    yield Finding(
        f"{name}: {coverage:.1%} of the items, norms {norms.min():.3g} to {norms.max():.3g}, median "
        f"{np.median(norms):.3g}",
        bool(coverage < 0.01),
    )
    if norms.max() > 20 * np.median(norms):
        yield Finding(f"{name}: the longest vector is {norms.max() / np.median(norms):.0f} times the median", True)
    yield from oddities(domain, name)
    yield from _row_order(domain, name, random.permutation(present)[:_SAMPLE])


def _row_order(domain: Domain, name: str, items: npt.NDArray[np.int64]) -> Iterator[Finding]:
    """Compares vectors with texts, or with neighbours in sequences: related items should have similar vectors."""
    rows = np.asarray(domain.features(name))[items].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    alike = rows @ rows.T
    texts = domain.texts()
    for what, reference in (
        ("texts", _lexical([texts[item] for item in items])),
        ("neighbours in sequences", _neighbours(domain, items)),
    ):
        sigmas = None if reference is None else _agreement(alike, reference)
        if sigmas is None:
            continue
        told = f"{name}: rows agree with {what} by {sigmas:.1f} standard deviations over shuffled rows"
        doubtful = sigmas < _SIGMAS and len(items) >= _FEW
        yield Finding(told + (": are they in the order of the items?" if doubtful else ""), doubtful)
        return
    yield Finding(f"{name}: too little to judge by whether the rows are in the order of the items")


def _lexical(texts: list[str]) -> sparse.csr_array | None:
    """Shared words, rare ones counting more, [S, S] without the diagonal; None if there are too few texts."""
    words = [sorted(set(text.lower().split())) for text in texts]
    vocabulary = {word: at for at, word in enumerate(sorted({word for one in words for word in one}))}
    if sum(map(bool, words)) < len(words) / 2 or len(vocabulary) < 10:
        return None
    rows = np.repeat(np.arange(len(words)), [len(one) for one in words])
    columns = np.array([vocabulary[word] for one in words for word in one])
    matrix = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(words), len(vocabulary)))
    weights = np.log(len(words) / matrix.sum(axis=0))
    shared = (matrix.multiply(weights)).tocsr() @ matrix.T
    return _without_diagonal(shared)


def _neighbours(domain: Domain, items: npt.NDArray[np.int64]) -> sparse.csr_array | None:
    """How often two items follow each other, [S, S]; None if the sample never does."""
    place = np.full(domain.num_items + 1, -1)
    place[items] = np.arange(len(items))
    flat = place[domain.sequences.items]
    inside = np.ones(len(flat) - 1, bool)
    inside[domain.sequences.offsets[1:-1] - 1] = False
    before, after = flat[:-1], flat[1:]
    both = inside & (before >= 0) & (after >= 0)
    counts = sparse.csr_array((np.ones(both.sum()), (before[both], after[both])), shape=(len(items), len(items)))
    counts = _without_diagonal((counts + counts.T).tocsr())
    return counts if counts.nnz >= 50 else None


def _without_diagonal(matrix: sparse.csr_array) -> sparse.csr_array:
    return (matrix - sparse.diags_array(matrix.diagonal())).tocsr()


def _agreement(alike: npt.NDArray[np.float64], reference: Any) -> float | None:
    """Mean similarity weighted by the reference, in standard deviations above that of shuffled rows.

    None: the reference relates no two items, or all orders are alike.
    """
    pairs = reference.tocoo()
    if not pairs.data.sum() > 0:
        return None

    def mean(order: npt.NDArray[np.int64]) -> float:
        return float((alike[order[pairs.row], order[pairs.col]] * pairs.data).sum() / pairs.data.sum())

    random = np.random.default_rng(1)
    shuffled = np.array([mean(random.permutation(len(alike))) for _ in range(_PERMUTATIONS)])
    spread = float(shuffled.std())
    return (mean(np.arange(len(alike))) - float(shuffled.mean())) / spread if spread > 1e-12 else None


def _splits(domain: Domain) -> Iterator[Finding]:
    sequences = domain.sequences
    split = make_split(sequences, "leave_one_out")
    starts, users = sequences.offsets[:-1], split.test.user
    if not len(users):
        yield Finding("leave-one-out tests nobody: every user has one interaction", True)
        return
    repeated = sum(
        int(sequences.items[starts[user] + target] in sequences.items[starts[user] : starts[user] + target])
        for user, target in zip(users.tolist(), split.test.target.tolist(), strict=True)
    )
    yield Finding(
        f"leave-one-out: {repeated / len(users):.1%} of {len(users):,} test targets are in their own history"
    )
    whole = {hashlib.md5(sequences.of(user).tobytes(), usedforsecurity=False).digest() for user in users.tolist()}
    copies = 1 - len(whole) / len(users)
    yield Finding(
        f"leave-one-out: {copies:.1%} of the test users copy another user's whole sequence", copies > 0.05
    )
    place = np.arange(len(sequences.items)) - np.repeat(starts, sequences.lengths())
    in_training = place < np.repeat(split.train_length, sequences.lengths())
    targets = starts[users] + split.test.target
    cold = float((~np.isin(sequences.items[targets], sequences.items[in_training])).mean())
    yield Finding(f"leave-one-out: {cold:.1%} of the test targets occur in no training part")
    if sequences.timestamps is not None:
        latest = sequences.timestamps[in_training].max(initial=np.iinfo(np.int64).min)
        early = float((sequences.timestamps[targets] < latest).mean())
        yield Finding(
            f"leave-one-out: {early:.1%} of the test targets are older than the newest training interaction "
            "(data.split=global_time has none)"
        )
