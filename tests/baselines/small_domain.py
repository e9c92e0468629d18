"""A domain small enough to work by hand, and plain dense references for every score."""

import numpy as np
import torch

from missrec_pl.baselines import BaselineData, Context, HeldOut, Histories, Options
from missrec_pl.data.sequences import offsets_of
from missrec_pl.metrics import ranks_without_history_, target_ranks

# Items 1..5. Text: 1 and 2 alike, 3 halfway, 5 opposite; 4 has none. Image: item 1 alone, of another width.
TEXT = np.array([[0, 0], [1, 0], [2, 0], [1, 1], [0, 0], [-1, 0]], dtype=np.float32)
HAS_TEXT = np.array([False, True, True, True, False, True])
IMAGE = np.array([[0.0]] + [[1.0]] + [[0.0]] * 4, dtype=np.float16)
HAS_IMAGE = np.array([False, True, False, False, False, False])


def make_data(*, modalities=("text", "image")):
    features, present = {"text": TEXT, "image": IMAGE}, {"text": HAS_TEXT, "image": HAS_IMAGE}
    return BaselineData(
        train_items=np.array([1, 2, 2, 3, 2, 3], dtype=np.int32),
        train_offsets=np.array([0, 4, 6], dtype=np.int64),
        num_items=5,
        features={m: features[m] for m in modalities},
        present={m: present[m] for m in modalities},
    )


def random_data(seed=0, *, users=60, items=25, widths=(6, 4), coverage=0.7):
    """A domain with repeats, users of one item, items that nobody met and items without either modality."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 12, users)
    sequences = random.integers(1, items - 2, lengths.sum()).astype(np.int32)
    features, present = {}, {}
    for name, width in zip(("text", "image"), widths, strict=True):
        present[name] = random.random(items + 1) < coverage
        present[name][[0, items]] = False
        features[name] = (random.normal(size=(items + 1, width)) * present[name][:, None]).astype(np.float32)
    return BaselineData(sequences, np.concatenate([[0], np.cumsum(lengths)]), items, features, present)


def block(lists, num_items=5):
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    return Histories(np.array([item for one in lists for item in one], dtype=np.int32), offsets, num_items)


def held_out(lists, targets):
    items = np.concatenate([np.empty(0, np.int64), *(np.asarray(one, np.int64) for one in lists)])
    return HeldOut(items, offsets_of([len(one) for one in lists]), np.asarray(targets, np.int64))


def random_held_out(data, seed=1, count=40):
    random = np.random.default_rng(seed)
    lists = [random.integers(1, data.num_items + 1, random.integers(1, 9)) for _ in range(count)]
    return held_out(lists, random.integers(1, data.num_items + 1, count))


def fitted(name, data=None, **options):
    data = make_data() if data is None else data
    baseline = Context(data, Options(**options)).get(name)
    baseline.fit(data)
    return baseline


def padded(histories):
    """``[B, L]`` item ids, right-padded with 0."""
    rows = [torch.from_numpy(part.astype(np.int64)) for part in np.split(histories.items, histories.offsets[1:-1])]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def dense_ranks(scores, histories, columns):
    """The two protocols by the project's own dense functions."""
    scores, columns = torch.as_tensor(scores), torch.from_numpy(columns).long()
    included = target_ranks(scores, columns).numpy()
    return included, ranks_without_history_(scores.clone(), padded(histories), columns).numpy()


def dense_weights(histories, decay):
    weights = np.zeros((len(histories), histories.num_items))
    for row, (start, stop) in enumerate(zip(histories.offsets[:-1], histories.offsets[1:], strict=True)):
        for age, item in enumerate(histories.items[start:stop][::-1]):
            weights[row, item - 1] += decay**age
    return weights


def dense_content(data, power):
    """Sums over modalities of positive cosines of whitened features; an item is not its own neighbour."""
    total = np.zeros((data.num_items, data.num_items))
    for name, features in data.features.items():
        items = np.flatnonzero(data.present[name])
        centred = features[items].astype(np.float64) - features[items].astype(np.float64).mean(0)
        left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
        kept = sizes > 1e-4 * sizes[0]
        whitened = left[:, kept] * sizes[kept] ** (1 - power)
        whitened /= np.linalg.norm(whitened, axis=1, keepdims=True)
        total[np.ix_(items - 1, items - 1)] += np.maximum(whitened @ whitened.T, 0)
    np.fill_diagonal(total, 0)
    return total


def dense_cooccurrence(data, pair_decay, backward, window=10):
    counts = np.zeros((data.num_items, data.num_items))
    for start, stop in zip(data.train_offsets[:-1], data.train_offsets[1:], strict=True):
        part = data.train_items[start:stop] - 1
        for i, before in enumerate(part):
            for gap, after in enumerate(part[i + 1 : i + 1 + window]):
                if before != after:
                    counts[before, after] += pair_decay**gap
                    counts[after, before] += backward * pair_decay**gap
    return counts / np.sqrt(np.maximum(data.counts(), 1))[:, None]


def dense_ease(data, penalty):
    users = np.zeros((len(data.train_offsets) - 1, data.num_items))
    for user, (start, stop) in enumerate(zip(data.train_offsets[:-1], data.train_offsets[1:], strict=True)):
        users[user, data.train_items[start:stop] - 1] = 1
    inverse = np.linalg.inv(users.T @ users + penalty * np.eye(data.num_items))
    weights = np.eye(data.num_items) - inverse / np.diag(inverse)
    weights[np.diag_indices(data.num_items)] = 0
    return weights
