"""Items as discrete codes: the codes, which are fitted, and what is learned of each of them (VQ-Rec)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from missrec_pl.fitting.product_codes import Quantiser, fit_quantiser, padded_width, product_codes
from missrec_pl.nn.blocks.transformer import INITIALIZER_RANGE
from missrec_pl.nn.fitted import Fitted, FittingContext

_TEMPERATURE = 0.7  # of Sinkhorn's algorithm, as published
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class _Kept:
    """Codes, and what they were computed of: nothing is the same that was written to since."""

    features: Tensor
    features_version: int
    centroids: Tensor
    centroids_version: int
    codes: Tensor

    def is_of(self, features: Tensor, centroids: Tensor) -> bool:
        return (
            features is self.features
            and centroids is self.centroids
            and features._version == self.features_version
            and centroids._version == self.centroids_version
        )


class ProductCodes(Fitted):
    """Codes of a modality's features: see :func:`fit_quantiser`. Fitted to the items of the training part.

    A checkpoint carries what encodes features, not the codes: new items of the same encoder have codes, too.

    Args:
        modality: name of the modality.
        feature_dim: width ``F`` of its features.
        code_dim: number ``K`` of codes of an item.
        code_cap: number ``C`` of values of a code.
    """

    rotation: Tensor
    centre: Tensor
    centroids: Tensor

    def __init__(self, modality: str, feature_dim: int, code_dim: int, code_cap: int) -> None:
        super().__init__()
        self.modality = modality
        width = padded_width(feature_dim, code_dim)
        self.register_buffer("rotation", torch.zeros(width, feature_dim))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("centroids", torch.zeros(code_dim, code_cap, width // code_dim))
        self._last: _Kept | None = None

    @property
    def is_empty(self) -> bool:
        """True before the first fit."""
        return not bool(self.centroids.any())

    @property
    def count_in_words(self) -> str:
        """See :class:`Fitted`."""
        return f"{self.centroids.shape[0]} codes of {self.centroids.shape[1]} values"

    def fit(self, context: FittingContext) -> dict[str, float]:
        """Fit to the training part's items; what a checkpoint of the same items has brought stays."""
        if not self.is_empty:
            return {}
        items = torch.from_numpy(context.training_parts()[0]).long().unique()
        table = context.catalogue.table(F.pad(items, (1, 0)))
        features = table.features[self.modality].float().cpu().numpy()
        code_dim, code_cap, _ = self.centroids.shape
        found = fit_quantiser(features, code_dim, code_cap, context.seed)
        for name in ("rotation", "centre", "centroids"):
            getattr(self, name).copy_(getattr(found, name))
        return {}

    def forward(self, features: Float[Tensor, "P F"], *, is_whole: bool = False) -> Int[Tensor, "P K"]:
        """Codes ``0..C - 1``; those of a whole catalogue, which comes again with every step, are kept.

        Raises:
            RuntimeError: nothing was fitted.
        """
        if self._last is not None and self._last.is_of(features, self.centroids):
            return self._last.codes
        if self.is_empty:
            raise RuntimeError("no codes were fitted: fit() them first")
        codes = product_codes(features, Quantiser(self.rotation, self.centre, self.centroids))
        if is_whole and not features.is_inference():
            self._last = _Kept(features, features._version, self.centroids, self.centroids._version, codes)
        return codes


class CodeTable(nn.Module):
    """A learned vector for each code, ``C + 1`` rows for each of the ``K`` places; row 0 is that of no code.

    Value ``c`` at place ``k`` has row ``k (C + 1) + c + 1``. As published, every place has a first row of its own,
    which nothing but :class:`PublishedAssignment` reads.

    Args:
        code_dim: number ``K`` of codes of an item.
        code_cap: number ``C`` of values of a code.
        hidden_size: width ``D``.
    """

    def __init__(self, code_dim: int, code_cap: int, hidden_size: int) -> None:
        super().__init__()
        self.size = code_cap + 1
        self.weight = nn.Parameter(torch.randn(code_dim * self.size, hidden_size) * INITIALIZER_RANGE)
        nn.init.zeros_(self.weight.data[0])

    def rows_of(self, codes: Int[Tensor, "*P K"]) -> Int[Tensor, "*P K"]:
        """Rows of the table."""
        return codes + 1 + self.size * torch.arange(codes.shape[-1], device=codes.device)


class Assignment(nn.Module):
    """A learned permutation for each place of a code: which vector of the table a value takes.

    Codes of another catalogue are fitted anew, and their numbers mean other things. The best permutation under the
    doubly stochastic matrix of Sinkhorn's algorithm is taken; gradients go to that matrix (straight-through). It
    starts as it is: every value keeps its vector.

    Args:
        code_dim: number ``K`` of codes of an item.
        code_cap: number ``C`` of values of a code.
        rounds: of Sinkhorn's algorithm.
    """

    def __init__(self, code_dim: int, code_cap: int, rounds: int = 3) -> None:
        super().__init__()
        self.rounds = rounds
        # The value's own vector has half of the weight, so that others can be reached.
        own = torch.eye(code_cap) * _TEMPERATURE * math.log(max(code_cap - 1, 2))
        self.logits = nn.Parameter(own.repeat(code_dim, 1, 1))

    def matrix(self) -> Float[Tensor, "K C C"]:
        """Permutation matrices; their gradient is that of the doubly stochastic ones."""
        from scipy.optimize import linear_sum_assignment  # a third of a second, which serving does without

        soft = sinkhorn(self.logits / _TEMPERATURE, self.rounds)
        hard = torch.zeros_like(soft)
        for one, place in zip(hard, soft.detach().double().cpu().numpy(), strict=True):
            one[linear_sum_assignment(place, maximize=True)] = 1.0
        return hard + (soft - soft.detach())

    def forward(self, table: Float[Tensor, "S D"]) -> Float[Tensor, "S D"]:
        """The table with its rows permuted within each place."""
        blocks = table.unflatten(0, (len(self.logits), -1))
        return torch.cat([blocks[:, :1], self.matrix() @ blocks[:, 1:]], 1).flatten(0, 1)


class PublishedAssignment(nn.Module):
    """As published: no permutation, for values choose freely, the unused first row too; and nothing is learned.

    The choice is made hard by rounding up, whose gradient is exactly 0, so that the random start stays. Noise is
    drawn anew at every step, in evaluation too.

    Args:
        code_dim: number ``K`` of codes of an item.
        code_cap: number ``C`` of values of a code.
        rounds: of Sinkhorn's algorithm.
    """

    def __init__(self, code_dim: int, code_cap: int, rounds: int = 3) -> None:
        super().__init__()
        self.rounds = rounds
        self.logits = nn.Parameter(torch.randn(code_dim, code_cap + 1, code_cap + 1))

    def uniform(self) -> Float[Tensor, "K S S"]:
        """The draws that noise is made of."""
        return torch.rand_like(self.logits)

    def doubly_stochastic(self) -> Float[Tensor, "K S S"]:
        """Sinkhorn's algorithm on noisy logits, of which the largest of each row is chosen."""
        noise = -torch.log(-torch.log(self.uniform() + _TINY) + _TINY)
        return sinkhorn(((self.logits.exp() + _TINY).log() + noise) / _TEMPERATURE, self.rounds)

    def forward(self, table: Float[Tensor, "R D"]) -> Float[Tensor, "R D"]:
        """The rows of the table that are chosen."""
        soft = self.doubly_stochastic()
        hard = F.one_hot(soft.argmax(-1), soft.shape[-1]) + 0 * soft
        rows: Tensor = hard @ table.unflatten(0, (len(hard), -1))
        return rows.flatten(0, 1)


def sinkhorn(logits: Float[Tensor, "K C C"], rounds: int) -> Float[Tensor, "K C C"]:
    """Nearly doubly stochastic matrices: rows, then columns are normalised, so many times."""
    for _ in range(rounds):
        logits = logits.log_softmax(2).log_softmax(1)
    return logits.exp()
