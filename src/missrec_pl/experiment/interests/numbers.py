"""What can be said of interests in numbers: sizes, composition, cosines, the items nearest to a prototype."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.clustering import nearest_prototype
from missrec_pl.clustering.assign import cluster_means
from missrec_pl.experiment.interests.stored import StoredInterests


@dataclass(frozen=True)
class InterestNumbers:
    """Numbers about all prototypes."""

    sizes: Tensor  # [K] tokens of each prototype
    composition: Tensor  # [K, M] the same by modality
    by_domain: Tensor  # [K, domains] the same by domain
    within: float  # mean cosine of a token with the others of its prototype; NaN if all are alone
    at_random: float  # mean cosine of two tokens
    same_modality: float  # mean cosine of two tokens of one modality
    moved: float  # share of tokens that are nearer to another prototype than to their own by now


@dataclass(frozen=True)
class NearItem:
    """Items of one title near a prototype."""

    distance: float  # Euclidean, of the nearest token
    modalities: list[str]  # of the tokens
    title: str  # text or raw id
    count: int  # items of this title


@dataclass(frozen=True)
class PrototypeNumbers:
    """One prototype in detail."""

    interest: int  # its index in the interest table, 1..K
    why: str  # largest, medium or random
    cosine: float  # mean cosine of two of its tokens; NaN if there is but one
    nearest: list[NearItem]


def measure(stored: StoredInterests) -> InterestNumbers:
    """Measure all prototypes. Means are over all pairs, not over a sample."""
    count = len(stored.prototypes)
    everything = torch.zeros_like(stored.assignment)
    nearest, _ = nearest_prototype(stored.tokens, stored.prototypes)
    return InterestNumbers(
        sizes=stored.assignment.bincount(minlength=count),
        composition=_crossed(stored.assignment, stored.modality, count, len(stored.modalities)),
        by_domain=_crossed(stored.assignment, stored.domain, count, len(stored.domains)),
        within=mean_cosine(stored.tokens, stored.assignment),
        at_random=mean_cosine(stored.tokens, everything),
        same_modality=mean_cosine(stored.tokens, stored.modality),
        moved=float((_distances(stored, nearest) < _distances(stored, stored.assignment)).float().mean()),
    )


def choose(sizes: Tensor, count: int, seed: int) -> list[tuple[int, str]]:
    """Prototypes to show: a third the largest, a third around the median, a third at random.

    Prototypes of a single token have nothing to compare and are passed over, unless all are such. The sizes are
    ``[K]`` tokens. The answer holds positions 0..K-1 and why each was chosen, each third by falling size.
    """
    order = sizes.argsort(descending=True, stable=True)
    pool = order[sizes[order] > 1].tolist() or order[sizes[order] > 0].tolist()
    num_largest, num_medium, num_random = (count + 2) // 3, (count + 1) // 3, count // 3
    largest, rest = pool[:num_largest], pool[num_largest:]
    start = max(0, (len(pool) - num_medium) // 2 - num_largest)
    medium, left = rest[start : start + num_medium], rest[:start] + rest[start + num_medium :]
    drawn = torch.randperm(len(left), generator=torch.Generator().manual_seed(seed))[:num_random]
    return [
        *((position, "largest") for position in largest),
        *((position, "medium") for position in medium),
        *((left[row], "random") for row in sorted(drawn.tolist())),
    ]


def describe(stored: StoredInterests, position: int, why: str, num_items: int) -> PrototypeNumbers:
    """Describe one prototype by the nearest items among its own; items of one title count as one line."""
    members = (stored.assignment == position).nonzero()[:, 0]
    distances = (stored.tokens[members] - stored.prototypes[position]).norm(dim=1)
    order = distances.argsort(stable=True)
    by_title: dict[str, list[int]] = {}
    for row in order.tolist():
        by_title.setdefault(stored.titles[int(stored.item[members[row]])], []).append(row)
    nearest = []
    for title, rows in list(by_title.items())[:num_items]:
        kinds = stored.modality[members[rows]].unique().tolist()
        num_same = len(stored.item[members[rows]].unique())
        nearest.append(
            NearItem(float(distances[rows[0]]), [stored.modalities[kind] for kind in kinds], title, num_same)
        )
    cosine = mean_cosine(stored.tokens[members], torch.zeros_like(members))
    return PrototypeNumbers(position + 1, why, cosine, nearest)


def mean_cosine(tokens: Tensor, group: Tensor) -> float:
    """Mean over tokens ``[P, D]`` of the mean cosine with the others of a group ``[P]``; NaN if all are alone."""
    unit = F.normalize(tokens, dim=1)
    mean, size = cluster_means(unit, group, int(group.max()) + 1)
    # A group's cosines sum to the square of its vectors' sum; each vector's cosine with itself goes.
    own = torch.zeros(len(size), dtype=torch.float64).index_add_(0, group, unit.double().square().sum(1))
    others = size.square() * mean.double().square().sum(1) - own
    shared = size > 1
    return float((others[shared] / (size[shared] - 1)).sum() / size[shared].sum())


def _distances(stored: StoredInterests, position: Tensor) -> Tensor:
    """``[P]`` distance of each token from the prototype at its position."""
    return (stored.tokens - stored.prototypes[position]).square().sum(1).sqrt()


def _crossed(rows: Tensor, columns: Tensor, num_rows: int, num_columns: int) -> Tensor:
    return (rows * num_columns + columns).bincount(minlength=num_rows * num_columns).view(num_rows, num_columns)
