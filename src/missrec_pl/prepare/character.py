"""What kind of data a domain holds: how dense, how skewed, how repetitive, and whether order carries anything."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.data.splits import Split, make_split
from missrec_pl.prepare.findings import Finding

_USERS = 20_000  # that order is tried on
_SHUFFLES = 5
_CUTOFF = 10
_DAY = 86_400
_Z = 1.96  # of a 95 % interval
_COPIES = 0.05

Ints = npt.NDArray[np.int64]


def character(domain: Domain) -> Iterator[Finding]:
    """Facts of the interactions and the texts; nothing here reads a test target."""
    sequences = domain.sequences
    lengths = sequences.lengths()
    owner = np.repeat(np.arange(sequences.num_users), lengths)
    density = len(sequences.items) / (sequences.num_users * domain.num_items)
    yield Finding(
        f"density: {density:.2%} of all pairs of user and item; sequences of {lengths.min()} to {lengths.max()}, "
        f"median {np.median(lengths):.0f}"
    )
    pairs = np.unique(owner * np.int64(domain.num_items + 1) + sequences.items)
    yield Finding(
        f"repeats: {1 - len(pairs) / len(owner):.1%} of the interactions are of an item that the user has"
    )
    counts = np.sort(np.bincount(sequences.items, minlength=domain.num_items + 1)[1:])[::-1]
    tenth = counts[: max(1, len(counts) // 10)].sum() / counts.sum()
    yield Finding(f"popularity: the most popular tenth of the items has {tenth:.0%} of the interactions")
    yield from _gaps(sequences, owner)
    yield from _same_texts(domain)
    split = make_split(sequences, "leave_one_out")
    if len(split.validation):
        yield from order(sequences, split, domain.num_items)


def _gaps(sequences: Sequences, owner: Ints) -> Iterator[Finding]:
    """The time between a user's interactions."""
    if sequences.timestamps is None:
        yield Finding("time: no timestamps, the order alone is known")
        return
    gaps = np.diff(sequences.timestamps)[owner[1:] == owner[:-1]]
    span = (sequences.timestamps.max() - sequences.timestamps.min()) / _DAY
    if len(gaps):
        at_once = float((gaps == 0).mean())
        yield Finding(
            f"time: {span:,.0f} days, {np.median(gaps) / _DAY:.2g} between two interactions of a user (median), "
            f"{at_once:.0%} at the same moment" + (": their order is arbitrary" if at_once > 0.5 else ""),
            at_once > 0.5,
        )


def _same_texts(domain: Domain) -> Iterator[Finding]:
    texts = [" ".join(text.lower().split()) for text in domain.texts()[1:]]
    known = [text for text in texts if text]
    if known:
        copies = 1 - len(set(known)) / len(known)
        yield Finding(f"texts: {copies:.1%} of the items repeat another's text word for word", copies > _COPIES)


def order(sequences: Sequences, split: Split, num_items: int) -> Iterator[Finding]:
    """How much a first-order model loses when the items of each training part are shuffled.

    It counts which item followed which in the training parts and predicts the validation target from the item
    before it: Recall@10, in the data's order and in shuffled ones (Klenitskiy et al., 2024, *Does it look
    sequential?*).
    """
    random = np.random.default_rng(0)
    rows = split.validation
    if len(rows) > _USERS:
        rows = rows.take(np.sort(random.choice(len(rows), _USERS, replace=False)))
    targets = sequences.items[sequences.offsets[:-1][rows.user] + rows.target].astype(np.int64)
    starts, lengths = sequences.offsets[:-1], split.train_length
    owner = np.repeat(np.arange(len(lengths)), lengths)
    place = starts[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    items = sequences.items[place].astype(np.int64)
    last = (np.cumsum(lengths) - 1)[rows.user]
    hits = _hits(items, owner, last, targets, num_items)
    shuffled = np.zeros(len(rows))
    for _ in range(_SHUFFLES):
        mixed = items[np.lexsort((random.random(len(items)), owner))]
        shuffled += _hits(mixed, owner, last, targets, num_items) / _SHUFFLES
    gain = hits - shuffled
    error = _Z * float(gain.std(ddof=1)) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
    said = (
        "order carries something" if gain.mean() > error else "order carries nothing that a first-order model sees"
    )
    yield Finding(
        f"sequential: a first-order model has Recall@{_CUTOFF} {hits.mean():.3f}, with shuffled training parts "
        f"{shuffled.mean():.3f} (difference {gain.mean():+.3f} +- {error:.3f}): {said}"
    )


def _hits(items: Ints, owner: Ints, last: Ints, targets: Ints, num_items: int) -> npt.NDArray[np.float64]:
    """Whether each target is among the 10 items that most often followed the item at ``last``; ties count half."""
    follows = owner[1:] == owner[:-1]
    before, after = items[:-1][follows], items[1:][follows]
    shape = (num_items + 1, num_items + 1)
    counts = sparse.csr_array((np.ones(len(before)), (before, after)), shape=shape)
    counts.sum_duplicates()
    sources = items[last]
    own = np.asarray(counts[sources, targets]).ravel()
    table = counts[sources]
    row = np.repeat(np.arange(len(sources)), np.diff(table.indptr))
    ahead = np.bincount(row, weights=table.data > own[row], minlength=len(sources))
    level = np.bincount(row, weights=table.data == own[row], minlength=len(sources))
    num_equal = np.where(own > 0, level - 1, num_items - np.diff(table.indptr) - 1)
    rank = 1 + ahead + num_equal / 2
    hit: npt.NDArray[np.float64] = (rank <= _CUTOFF).astype(np.float64)
    return hit
