"""Two small domains and the batches that processes make of them."""

import numpy as np

from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.samplers import GlobalBatchSampler, ResumedSampler
from missrec_pl.data.splits import make_split
from missrec_pl.data.training_choices import TrainingChoices

FIRST = [[1, 2, 3, 1, 2, 3, 4], [4], [2, 2, 1], [3, 1], [4, 3, 2, 1, 1, 2]]
SECOND = [[5, 4, 3, 2, 1, 1], [2, 3, 4, 5], [1, 6, 7, 8, 2]]
EVERYONE = FIRST + [[item + 4 for item in one] for one in SECOND]  # global ids: the first domain has 4 items
FOLDS = np.array([0, 1, 1, 0, 1, 0, 1, 0])


def times_of(user):
    """Seconds of a user's interactions, none of them alike."""
    return [10_000 * (user + 1) + 10 * position for position in range(len(EVERYONE[user]))]


def domains(memory_domain, *, timed=True):
    times = [times_of(user) for user in range(len(EVERYONE))]
    first, second = (times[: len(FIRST)], times[len(FIRST) :]) if timed else (None, None)
    return [
        memory_domain("first", features={"text": np.eye(4, 3).tolist()}, sequences=FIRST, timestamps=first),
        memory_domain("second", features={"text": np.eye(8, 3).tolist()}, sequences=SECOND, timestamps=second),
    ]


def sequences_of(domains, *, split="train_only", with_times=False):
    catalogue = Catalogue(domains, ["text"])
    sequences = GlobalSequences(catalogue, [make_split(domain.sequences, split) for domain in domains])
    if with_times:
        sequences.read_times(catalogue)
    return sequences, catalogue


def data_set(memory_domain, example, candidates="all", *, max_history=3, folds=None, **options):
    """The training batches of the two domains."""
    with_times = options.pop("with_times", False)
    sequences, catalogue = sequences_of(domains(memory_domain), with_times=with_times)
    choices = TrainingChoices(
        candidates=candidates, num_negatives=options.pop("num_negatives", 4), example=example, **options
    )
    return choices.batches(sequences, catalogue, max_history, folds)


def shared_batches(data, *, epoch=0, seed=3, rank=0, world_size=1, batch_size=5, done=0):
    """The global batches of an epoch as a process sees them."""
    sampler = GlobalBatchSampler(
        data.examples.samples_per_domain(),
        batch_size,
        folds=data.examples.folds(),
        seed=seed,
        rank=rank,
        world_size=world_size,
    )
    resumed = ResumedSampler(sampler, epoch, done)
    resumed.set_epoch(epoch)
    return list(resumed)


def batches(data, **options):
    return [data[shared] for shared in shared_batches(data, **options)]


def tensors(batch):
    """All tensors of a batch by name, as lists; its other fields as they are."""
    found = {}

    def walk(value, name):
        if hasattr(value, "tolist"):
            found[name] = (str(value.dtype), value.tolist())
        elif isinstance(value, dict):
            for key, one in value.items():
                walk(one, f"{name}.{key}")
        elif hasattr(value, "__dataclass_fields__"):
            for key in value.__dataclass_fields__:
                walk(getattr(value, key), f"{name}.{key}")
        else:
            found[name] = value

    walk(batch, "batch")
    return found


def global_ids(batch, rows):
    return rows if batch.items is None else batch.items.ids[rows]


def described(batch):
    """What each row shows and predicts, in global ids: equal for the same row whatever it is batched with."""
    width = batch.history.shape[1]
    place = (
        np.arange(len(batch)) * width + batch.length.numpy() - 1 if batch.place is None else batch.place.numpy()
    )
    targets = global_ids(batch, batch.target).tolist()
    own = batch.candidates if batch.candidates is not None and batch.candidates.log_inclusion is None else None
    rows = []
    for b, length in enumerate(batch.length.tolist()):
        mine = np.flatnonzero(place // width == b)
        shown = global_ids(batch, batch.history[b, :length])
        rows.append(
            (
                tuple(shown.tolist()),
                tuple((int(place[r] % width), targets[r], tuple(batch.future[r].tolist())) for r in mine),
                int(batch.domain[b]),
                None if batch.is_masked is None else tuple(batch.is_masked[b, :length].tolist()),
                None if batch.times is None else tuple(batch.times[b, : length + 1].tolist()),
                None if own is None else tuple(tuple(global_ids(batch, own.rows[r]).tolist()) for r in mine),
            )
        )
    return rows
