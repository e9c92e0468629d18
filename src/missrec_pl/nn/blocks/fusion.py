"""Candidate fusion: how the modality scores of an item become one score (paper, 3.2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

# The cosine of a candidate that has no modality at all: the lowest there is, so that it is ranked last.
NO_EVIDENCE = -1.0


@dataclass(frozen=True)
class Comparable:
    """Candidates that have the same modalities.

    Attributes:
        columns: ``[P]`` their places among all candidates, rising.
        tokens: ``[P, D]`` normalised item tokens, for each modality that they have.
    """

    columns: Tensor
    tokens: list[Tensor]


class DynamicFusion(nn.Module):
    """User-adaptive fusion of modality scores with a learnable concentration ``alpha`` (eqs. 1-2).

    ``alpha = 0`` is the mean of the present modalities, ``alpha -> inf`` their maximum. A missing modality has
    no weight.

    Args:
        fusion_concentration: initial ``alpha``; None for a static mean that learns nothing.
    """

    def __init__(self, fusion_concentration: float | None = 0.0) -> None:
        super().__init__()
        self.concentration = (
            None if fusion_concentration is None else nn.Parameter(torch.tensor(float(fusion_concentration)))
        )

    def forward(self, user: Float[Tensor, "B D"], candidates: Sequence[Comparable]) -> Float[Tensor, "B C"]:
        """Fused cosines of users and candidates (eq. 2); a modality is compared only where it exists.

        Args:
            user: normalised user states.
            candidates: from :func:`comparable`, or for a static mean from :func:`mean_directions`.
        """
        is_idle = not any(len(group.tokens) > 1 for group in candidates)
        if is_idle and self.concentration is not None and self.concentration.requires_grad:
            user = user + 0 * self.concentration  # a gradient of 0: DDP waits for one in every process
        parts = [
            self.fuse([user @ tokens.T for tokens in group.tokens])
            if group.tokens
            else user.new_full((len(user), len(group.columns)), NO_EVIDENCE)
            for group in candidates
        ]
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, 1).index_select(1, torch.cat([group.columns for group in candidates]).argsort())

    def fuse(self, cosines: Sequence[Float[Tensor, "B C"]]) -> Float[Tensor, "B C"]:
        """Fuse the cosines of the modalities of candidates that have all of them."""
        if len(cosines) == 1:
            return cosines[0]
        assert self.concentration is not None, "a static mean has one vector to compare with"
        if len(cosines) == 2:  # a softmax of two, in fewer passes
            first, second = cosines
            return torch.lerp(second, first, torch.sigmoid(self.concentration * (first - second)))
        scores = torch.stack(list(cosines))
        fused: Tensor = ((scores * self.concentration).softmax(0) * scores).sum(0)
        return fused


def comparable(tokens: Float[Tensor, "C M D"], is_missing: Bool[Tensor, "C M"]) -> list[Comparable]:
    """Prepare candidates for cosines.

    Args:
        tokens: item tokens, not normalised.
        is_missing: which of them do not exist.
    """
    modalities = range(is_missing.shape[1])
    pattern = (is_missing.long() << torch.arange(len(modalities), device=is_missing.device)).sum(1)
    groups = []
    for code in pattern.unique().tolist():
        columns = (pattern == code).nonzero()[:, 0]
        chosen = tokens if len(columns) == len(tokens) else tokens.index_select(0, columns)
        present = [F.normalize(chosen[:, m], dim=-1) for m in modalities if not code >> m & 1]
        groups.append(Comparable(columns, present))
    return groups


def mean_directions(tokens: Float[Tensor, "C M D"], is_missing: Bool[Tensor, "C M"]) -> list[Comparable]:
    """Prepare candidates for a static fusion: the mean of cosines is the cosine with one mean vector.

    Args:
        tokens: item tokens, not normalised.
        is_missing: which of them do not exist.
    """
    share = (~is_missing).to(tokens.dtype)
    share = share / share.sum(1, keepdim=True).clamp_min(1)
    mean = (F.normalize(tokens, dim=-1) * share[:, :, None]).sum(1)
    is_none = is_missing.all(1)
    if not is_none.any():
        return [Comparable(torch.arange(len(mean), device=mean.device), [mean])]
    some, none = (~is_none).nonzero()[:, 0], is_none.nonzero()[:, 0]
    return [Comparable(some, [mean.index_select(0, some)]), Comparable(none, [])]
