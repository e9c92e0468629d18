"""Where the released network and the corrected one part ways: everything that ``compat`` decides in the network.

``MISSRecReleased`` asks one of the two sets of rules below. What ``compat`` decides in the losses is chosen by the
``objective`` config, and in the second view by its augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.nn.blocks.attention import MultiHeadAttention
from missrec_pl.nn.blocks.transformer import initialise
from missrec_pl.nn.blocks.unit_vectors import unit_vectors
from missrec_pl.nn.interests import distinct_interests, sorted_interests
from missrec_pl.nn.missrec.items import ItemTokens, mean_of
from missrec_pl.system.processes import row_counts

Score = Callable[[Tensor, ItemTokens], Tensor]


class Corrected:
    """A missing modality takes no part anywhere, and padding changes nothing.

    Attributes:
        missing: see :class:`ModalityAdapters`.
        norm_eps: ``eps`` of every LayerNorm.
        depends_on_padding: see :class:`Recommender`.
        clusters_missing: whether interests are discovered among missing modalities, too.
    """

    missing = "absent"
    norm_eps = 1e-5
    depends_on_padding = False
    clusters_missing = False

    def initialise(self, module: nn.Module) -> None:
        """Fresh weights of a module of the network."""
        initialise(module)

    def without_interest(self, ids: Int[Tensor, " U"], usual: Bool[Tensor, "U M"]) -> Bool[Tensor, "U M"]:
        """True for the tokens that have no interest; ``usual`` are those that every network leaves out."""
        return usual

    def distinct_interests(
        self, interest: Int[Tensor, "B S"], *, is_cut: bool, training: bool
    ) -> tuple[Int[Tensor, "B Q"], Bool[Tensor, "B Q"]]:
        """What the encoder reads; see :func:`distinct_interests`. Interest 0 is no token.

        Args:
            interest: interest index of every token of the history, 0 = none.
            is_cut: whether the histories are padded to less than the longest history of the network.
            training: whether all processes of the run encode a part of one batch now.
        """
        return distinct_interests(interest)

    def last_item(self, outputs: Float[Tensor, "B G D"], is_padding: Bool[Tensor, "B G"]) -> Float[Tensor, "B D"]:
        """User states from the decoded tokens of the last item.

        Mean of the tokens that exist; of all where none does, for their position and ID say something, too.
        """
        if outputs.shape[1] == 1:
            return outputs[:, 0]
        return mean_of(outputs, is_padding & ~is_padding.all(1, keepdim=True))

    def score(
        self,
        score: Score,
        state: Float[Tensor, "B D"],
        candidates: ItemTokens,
        id_embedding: nn.Embedding | None,
    ) -> Float[Tensor, "B C"]:
        """Scores of candidates; ``score`` is how every network of this project scores."""
        return score(state, candidates)


class AsReleased(Corrected):
    """The released code to the letter, its oddities included: each method says which."""

    missing = "bias"  # the adapter of a zero vector stands for a missing modality, and for padding
    norm_eps = 1e-12
    depends_on_padding = True
    clusters_missing = True

    def initialise(self, module: nn.Module) -> None:
        """As :func:`initialise`, but query, key and value projections have ``nn.Transformer``'s weights."""
        initialise(module)
        if isinstance(module, MultiHeadAttention):
            bound = math.sqrt(6 / (4 * module.query.in_features))
            for projection in (module.query, module.key_value):
                nn.init.uniform_(projection.weight, -bound, bound)

    def without_interest(self, ids: Int[Tensor, " U"], usual: Bool[Tensor, "U M"]) -> Bool[Tensor, "U M"]:
        """Missing modalities are clustered, too; only padding has no interest."""
        return (ids == 0)[:, None].expand_as(usual)

    def distinct_interests(
        self, interest: Int[Tensor, "B S"], *, is_cut: bool, training: bool
    ) -> tuple[Int[Tensor, "B Q"], Bool[Tensor, "B Q"]]:
        """The padding's interest 0 is a token, and the first.

        No key, but a query of the encoder: the regulariser counts and sums what becomes of it, and of the padding
        at the end. All processes pad to the widest row of the global batch, so that it is one process's.
        """
        if is_cut:
            interest = F.pad(interest, (0, 1))
        ordered, is_repeat = sorted_interests(interest)
        width = int((~is_repeat).sum(1).max())
        if training:
            width = max(row_counts(ordered[0, :width]))
        front = is_repeat.to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
        distinct = ordered.gather(1, front).masked_fill(is_repeat.gather(1, front), 0)
        distinct = F.pad(distinct, (0, width - distinct.shape[1]))
        return distinct, distinct == 0

    def last_item(self, outputs: Float[Tensor, "B G D"], is_padding: Bool[Tensor, "B G"]) -> Float[Tensor, "B D"]:
        """The first modality's token alone, even where the item lacks that modality."""
        return outputs[:, 0]

    def score(
        self,
        score: Score,
        state: Float[Tensor, "B D"],
        candidates: ItemTokens,
        id_embedding: nn.Embedding | None,
    ) -> Float[Tensor, "B C"]:
        """Missing modalities score as their adapters' bias; a single modality is summed with the ID embedding."""
        if id_embedding is not None and candidates.tokens.shape[1] == 1:
            vectors = candidates.tokens[:, 0] + F.embedding(candidates.ids, id_embedding.weight)
            return unit_vectors(state) @ unit_vectors(vectors).T
        return score(state, candidates.without_missing)
