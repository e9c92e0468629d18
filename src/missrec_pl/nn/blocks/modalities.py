"""Modalities: from frozen features to item tokens (paper, 3.2.3), from the scores of tokens to one (3.2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.nn.blocks.unit_vectors import unit_vectors
from missrec_pl.system.shapes import are_fixed

# The cosine of a candidate that has no modality at all: the lowest there is, so that it is ranked last.
NOTHING_TO_COMPARE = -1.0
_OUTWEIGHS = 1e4  # a sigmoid of it is 1, and of its negative 0, in every precision but float64's last bits


class ModalityAdapters(nn.Module):
    """One linear adapter per modality: from encoder features to item tokens.

    Args:
        feature_dims: feature width ``F`` of each modality, in the order of the token axis ``M``.
        hidden_size: width ``D`` of item tokens.
        missing: ``"absent"`` leaves zeros for an item that lacks a modality; ``"bias"`` puts ``adapter(0)``
            there, as the released code does.
    """

    def __init__(self, feature_dims: Mapping[str, int], hidden_size: int, missing: str = "absent") -> None:
        super().__init__()
        self.linear = nn.ModuleDict({name: nn.Linear(dim, hidden_size) for name, dim in feature_dims.items()})
        self.missing = missing

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in the order of the token axis."""
        return list(self.linear)

    def forward(
        self,
        features: Mapping[str, Float[Tensor, "_P _F"]],
        rows: Mapping[str, Int[Tensor, " _P"]],
        num_rows: int,
    ) -> Float[Tensor, "U M D"]:
        """Adapt the features that exist and lay them out as tokens.

        Args:
            features: per modality the feature rows of the items that have it, any float dtype.
            rows: per modality the row of the item table that each feature row describes.
            num_rows: number ``U`` of rows of the item table.

        Returns:
            Item tokens; rows without features hold zeros, or the bias under ``missing="bias"``.
        """
        tokens = []
        tokens_dtype: torch.dtype = next(self.parameters()).dtype
        for name, linear in self.linear.items():
            adapted = linear(features[name].to(tokens_dtype))
            base = adapted.new_zeros(num_rows, adapted.shape[-1])
            if self.missing == "bias":
                base = base + linear.bias.to(base.dtype)  # under autocast
            tokens.append(base.index_copy(0, rows[name], adapted))
        return torch.stack(tokens, dim=1)


@dataclass(frozen=True)
class Comparable:
    """Candidates that have the same modalities; or all candidates, and which of their modalities are missing.

    Attributes:
        columns: ``[P]`` their places among all candidates, rising; None: they are all candidates.
        tokens: ``[P, D]`` normalised item tokens, for each modality that they have.
        is_missing: ``[P, M]`` True where a candidate lacks a modality; None: none of them does.
    """

    columns: Tensor | None
    tokens: list[Tensor]
    is_missing: Tensor | None = None


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
        parts, places = [], []
        for group in candidates:
            if group.columns is not None:
                places.append(group.columns)
            if group.tokens:
                parts.append(self.fuse([user @ tokens.T for tokens in group.tokens], group.is_missing))
            else:
                parts.append(user.new_full((len(user), len(places[-1])), NOTHING_TO_COMPARE))
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, 1).index_select(1, torch.cat(places).argsort())

    def fuse(
        self, cosines: Sequence[Float[Tensor, "B C"]], is_missing: Bool[Tensor, "C M"] | None = None
    ) -> Float[Tensor, "B C"]:
        """Fuse the cosines of the modalities of candidates; those that are missing have no weight.

        Args:
            cosines: for each modality; 0 where it is missing.
            is_missing: None where the candidates have all modalities.
        """
        if len(cosines) == 1:
            fused = cosines[0]
        else:
            assert self.concentration is not None, "a static mean has one vector to compare with"
            fused = self._fuse_several(cosines, self.concentration, is_missing)
        return fused if is_missing is None else fused.masked_fill(is_missing.all(1), NOTHING_TO_COMPARE)

    def _fuse_several(
        self, cosines: Sequence[Tensor], concentration: Tensor, is_missing: Tensor | None
    ) -> Float[Tensor, "B C"]:
        fused: Tensor
        if len(cosines) == 2:  # a softmax of two, in fewer passes
            first, second = cosines
            lead = concentration * (first - second)
            if is_missing is not None:  # of one that is missing the weight is 0, and its gradient, too
                side = is_missing.to(lead.dtype)
                lead = lead.add(side[:, 1] - side[:, 0], alpha=_OUTWEIGHS)
            return torch.lerp(second, first, torch.sigmoid(lead))
        scores = torch.stack(list(cosines))
        weights = scores * concentration
        if is_missing is not None:
            weights = weights.masked_fill(is_missing.T[:, None], torch.finfo(weights.dtype).min)
        fused = (weights.softmax(0) * scores).sum(0)
        return fused


def comparable(tokens: Float[Tensor, "C M D"], is_missing: Bool[Tensor, "C M"]) -> list[Comparable]:
    """Prepare candidates for cosines.

    Args:
        tokens: item tokens, not normalised.
        is_missing: which of them do not exist.
    """
    modalities = range(is_missing.shape[1])
    if are_fixed(tokens.device):
        return [Comparable(None, list(unit_vectors(tokens).unbind(1)), is_missing)]
    pattern = (is_missing.long() << torch.arange(len(modalities), device=is_missing.device)).sum(1)
    groups = []
    for code in pattern.unique().tolist():
        columns = (pattern == code).nonzero()[:, 0]
        chosen = tokens if len(columns) == len(tokens) else tokens.index_select(0, columns)
        present = [unit_vectors(chosen[:, m]) for m in modalities if not code >> m & 1]
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
    mean = (unit_vectors(tokens) * share[:, :, None]).sum(1)
    is_none = is_missing.all(1)
    if are_fixed(tokens.device):
        return [Comparable(None, [mean], is_none[:, None])]
    if not is_none.any():
        return [Comparable(torch.arange(len(mean), device=mean.device), [mean])]
    some, none = (~is_none).nonzero()[:, 0], is_none.nonzero()[:, 0]
    return [Comparable(some, [mean.index_select(0, some)]), Comparable(none, [])]
