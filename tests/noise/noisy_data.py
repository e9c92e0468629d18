"""A tiny domain, and the same with the targets of a split replaced by random items."""

from dataclasses import dataclass, replace

import numpy as np

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.data.splits import make_split
from missrec_pl.data.synthetic.generator import SyntheticSpec, write_synthetic

NAME = "synthetic_0"
SPEC = SyntheticSpec(
    num_users=60,
    num_items=40,
    num_interests=4,
    min_length=4,
    max_length=9,
    dims={"text": 7, "image": 5},
    missing={"text": 0.1, "image": 0.4},
)
SHORT = (1, 2)  # lengths of the first users: nothing to train on, then no target of validation


@dataclass(frozen=True)
class Truths:
    """Folders that hold the same domain, but for what the name says."""

    clean: str
    test: str
    validation: str

    def __iter__(self):
        return iter((self.clean, self.test, self.validation))


def write_truths(root, split="leave_one_out") -> Truths:
    """The domain as it is, with other test targets, and with other validation targets, a data folder each."""
    source = Domain.open(write_synthetic(root / "source", 0, SPEC))
    clean = _cut_first(source.sequences)
    kinds = {"clean": clean, **{kind: _with_noise(clean, split, kind) for kind in ("test", "validation")}}
    for kind, sequences in kinds.items():
        _write(root / kind / NAME, source, sequences)
    return Truths(*(str(root / kind) for kind in kinds))


def with_other_item(data_dir, root, user, place) -> str:
    """A data folder with the domain of another one, but an item that the user has nowhere stands at a place."""
    source = Domain.open(f"{data_dir}/{NAME}")
    sequences = source.sequences
    items = sequences.items.copy()
    items[sequences.offsets[user] + place] = min({*range(1, SPEC.num_items + 1)} - {*sequences.of(user).tolist()})
    _write(root / NAME, source, replace(sequences, items=items))
    return str(root)


def _cut_first(sequences: Sequences) -> Sequences:
    lists, times = (
        [part.tolist() for part in np.split(values, sequences.offsets[1:-1])]
        for values in (sequences.items, sequences.timestamps)
    )
    for user, length in enumerate(SHORT):
        lists[user], times[user] = lists[user][:length], times[user][:length]
    return Sequences.from_lists(lists, times)


def _with_noise(sequences: Sequences, split: str, kind: str) -> Sequences:
    """Other items from a user's target of this kind on, to the next kind's or to the end."""
    found = make_split(sequences, split)
    ends = dict(zip(found.test.user.tolist(), found.test.target.tolist(), strict=True))
    rows = found.test if kind == "test" else found.validation
    random, items = np.random.default_rng(3), sequences.items.copy()
    for user, first in zip(rows.user.tolist(), rows.target.tolist(), strict=True):
        length = int(sequences.offsets[user + 1] - sequences.offsets[user])
        stop = length if kind == "test" else ends.get(user, length)
        for place in range(first, stop):
            at = sequences.offsets[user] + place
            others = np.delete(np.arange(1, SPEC.num_items + 1), items[at] - 1)
            items[at] = random.choice(others)
    return replace(sequences, items=items)


def _write(path, source: Domain, sequences: Sequences) -> None:
    matrices = {
        name: FeatureMatrix(np.asarray(source.features(name)), source.present(name)[1:], "made up")
        for name in (*source.modalities, *source.views)
    }
    write_domain(
        path,
        name=NAME,
        raw_item_ids=source.raw_item_ids()[1:],
        texts=source.texts()[1:],
        sequences=sequences,
        raw_user_ids=source.raw_user_ids(),
        features={name: matrices[name] for name in source.modalities},
        views={name: matrices[name] for name in source.views},
    )
