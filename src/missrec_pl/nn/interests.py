"""The interest table: prototypes and the interest index of every item token (paper, 3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.clustering import Clustering, ClusterResult, resolve_count
from missrec_pl.clustering.methods import DPCKNN, InterestMethod
from missrec_pl.errors import ConfigError
from missrec_pl.nn.fitted import Fitted, FittingContext, NewItems
from missrec_pl.system.precision import exact_float32
from missrec_pl.system.shapes import are_fixed


@dataclass(frozen=True)
class InterestSettings:
    """How interests are discovered; the config group ``interest``.

    Attributes:
        num_prototypes: a number ``K`` of prototypes, or a share of the item tokens.
        method: discovers them.
        every_n_epochs: discovery before every n-th epoch.
    """

    num_prototypes: int | float = 0.05
    method: InterestMethod = DPCKNN()  # noqa: RUF009 - stateless but for what it has logged
    every_n_epochs: int = 1

    def count(self, num_tokens: int) -> int:
        """Number ``K`` of prototypes.

        Raises:
            ConfigError: more prototypes than tokens, or none.
        """
        try:
            return resolve_count(self.num_prototypes, num_tokens)
        except ConfigError as error:
            raise ConfigError(f"interest.num_prototypes={self.num_prototypes}: {error}.") from error


class InterestTable(Fitted):
    """Discovered interests, kept as buffers so that a checkpoint carries them.

    Row 0 of the prototypes is "none". The table is empty (``num_refreshes == 0``) until the first refresh. Items
    come as tokens ``[U, M, D]`` with ``extra["no_interest"] [U, M]``, True for the tokens that are left out.

    Args:
        settings: how interests are discovered.
        num_tokens: number of tokens that can be clustered.
        num_items: number ``N`` of real items.
        num_modalities: number ``M`` of modalities.
        hidden_size: width ``D``.
        all_tokens: True if missing modalities are clustered as well (reference mode): every item then has all.
    """

    every = "epoch"
    prototypes: Tensor
    assignment: Tensor
    num_refreshes: Tensor

    def __init__(
        self,
        settings: InterestSettings,
        num_tokens: int,
        num_items: int,
        num_modalities: int,
        hidden_size: int,
        *,
        all_tokens: bool = False,
    ) -> None:
        super().__init__()
        self._by_modality = all_tokens and settings.method.modality_by_modality
        self.method = settings.method
        self.every_n_epochs = settings.every_n_epochs
        self.on = "all" if settings.method.is_sharded else "first"
        num_prototypes = settings.count(num_tokens)
        self.register_buffer("prototypes", torch.zeros(num_prototypes + 1, hidden_size))
        self.register_buffer("assignment", torch.zeros(num_items + 1, num_modalities, dtype=torch.long))
        self.register_buffer("num_refreshes", torch.zeros((), dtype=torch.long))

    @property
    def num_prototypes(self) -> int:
        """Number ``K`` of prototypes."""
        return self.prototypes.shape[0] - 1

    @property
    def is_empty(self) -> bool:
        """True before the first refresh."""
        return int(self.num_refreshes) == 0

    @property
    def count_in_words(self) -> str:
        """See :class:`Fitted`."""
        return f"{self.num_prototypes:,} prototypes"

    @property
    def sizes(self) -> Int[Tensor, " K"]:
        """Number of item tokens of each prototype."""
        return self.assignment.flatten().bincount(minlength=self.num_prototypes + 1)[1:]

    @torch.no_grad()
    def fit(self, context: FittingContext) -> dict[str, float]:
        """Cluster the tokens of all items.

        Returns:
            The table's health: prototypes in use, largest and singleton prototypes, entropy of the tokens over the
            prototypes in bits, share of tokens reassigned.
        """
        with exact_float32(self.prototypes.device):
            tokens, left_out = self._tokens(context)
            found = self._discover(tokens, context.seed)
        before = None if self.is_empty else self.assignment[~left_out] - 1
        self.update(found.prototypes, found.assignment, left_out)
        return _health(found.assignment.to(self.assignment), before)

    @torch.no_grad()
    def update(
        self,
        prototypes: Float[Tensor, "K D"],
        assignment: Int[Tensor, " P"],
        left_out: Bool[Tensor, "U M"],
    ) -> None:
        """Replace the table.

        Args:
            prototypes: the new prototypes.
            assignment: 0-based prototype of each token, in row-major order of ``~left_out``.
            left_out: which tokens of the catalogue were not clustered; they get interest 0.
        """
        self.prototypes[1:] = prototypes.to(self.prototypes)
        self.assignment.zero_()
        self.assignment[~left_out] = assignment.to(self.assignment) + 1
        self.num_refreshes += 1

    @torch.no_grad()
    def grow(self, new: NewItems) -> None:
        """See :meth:`Fitted.grow`: a new item's tokens go to their nearest prototypes."""
        self.assignment = new.padded(self.assignment)
        if self.is_empty:
            return
        items = new.encode().span(1)
        nearest = torch.cdist(items.vectors.flatten(0, 1), self.prototypes[1:]).argmin(1) + 1
        found = nearest.view(items.vectors.shape[:2]).masked_fill(items.extra["no_interest"], 0)
        self.assignment[new.ids] = found.to(self.assignment)

    def check(self) -> None:
        """See :meth:`Fitted.check`."""
        if bool(((self.assignment < 0) | (self.assignment > self.num_prototypes)).any()):
            raise ValueError("interests that are not there")

    def _discover(self, tokens: Tensor, seed: int) -> Clustering:
        if not self._by_modality:
            return self.method(tokens, self.num_prototypes, seed)
        num_modalities = self.assignment.shape[1]
        in_turn = tokens.unflatten(0, (-1, num_modalities)).transpose(0, 1).flatten(0, 1)
        found = self.method(in_turn, self.num_prototypes, seed)
        assignment = found.assignment.unflatten(0, (num_modalities, -1)).T.flatten()
        return ClusterResult(assignment, found.prototypes, math.nan)

    def _tokens(self, context: FittingContext) -> tuple[Tensor, Tensor]:
        """Tokens ``[P, D]`` to cluster, in row-major order of the catalogue, and ``left_out [N + 1, M]``."""
        tokens, left_out = [], [torch.ones_like(self.assignment[:1], dtype=torch.bool)]
        for items in context.items():
            is_out = items.extra["no_interest"][1:]
            tokens.append(items.vectors[1:][~is_out])
            left_out.append(is_out)
        return torch.cat(tokens), torch.cat(left_out)


def distinct_interests(interest: Int[Tensor, "B S"]) -> tuple[Int[Tensor, "B Q"], Bool[Tensor, "B Q"]]:
    """De-duplicated interests of a history (paper, 3.3.2): rows of the prototypes, and which are padding.

    Args:
        interest: interest index of every token of the history, 0 = none, repeats allowed.

    Returns:
        The distinct interests of each row in ascending index, padded at the end with 0 to the longest row of the
        batch (at least one column), and which of them are padding. With fixed shapes all ``S`` columns stay, and
        padding stands among the others.
    """
    ordered, is_repeat = sorted_interests(interest)
    is_padding = is_repeat | (ordered == 0)
    if are_fixed(interest.device):
        return ordered.masked_fill(is_padding, 0), is_padding
    width = max(int((~is_padding).sum(1).max()), 1)
    front = is_padding.to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
    is_padding = is_padding.gather(1, front)
    return ordered.gather(1, front).masked_fill(is_padding, 0), is_padding


def sorted_interests(interest: Int[Tensor, "B S"]) -> tuple[Int[Tensor, "B S"], Bool[Tensor, "B S"]]:
    """The interests of each row in ascending index, and which of them repeat the one before."""
    ordered = interest.sort(dim=1).values
    # Padded, not sliced: a graph for all sizes would have to know the length of a slice.
    return ordered, ordered == F.pad(ordered, (1, -1), value=-1)


def _health(assignment: Tensor, before: Tensor | None) -> dict[str, float]:
    sizes = assignment.bincount()
    sizes = sizes[sizes > 0]
    health = {
        "interest/used": float(len(sizes)),
        "interest/largest": float(sizes.max()),
        "interest/singletons": float((sizes == 1).sum()),
        "interest/entropy": float(-(sizes / sizes.sum()).mul((sizes / sizes.sum()).log2()).sum()),
    }
    if before is not None:
        # Share of tokens that did not follow the majority of their old prototype's tokens: prototypes carry no
        # identity from one refresh to the next, and a mere renumbering counts as no change.
        pairs, counts = torch.stack([before, assignment]).unique(dim=1, return_counts=True)
        followers = torch.zeros(int(before.max()) + 1, dtype=counts.dtype, device=counts.device)
        followers = followers.scatter_reduce(0, pairs[0], counts, reduce="amax")
        health["interest/reassigned"] = 1.0 - float(followers.sum()) / len(before)
    return health
