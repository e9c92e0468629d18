"""What both architectures share: adapters, fusion, ID table, interest table, and the score of a candidate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.adapters import ModalityAdapters
from missrec_pl.nn.blocks.attention import MultiHeadAttention, Projected
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.fusion import DynamicFusion
from missrec_pl.nn.interests import InterestTable
from missrec_pl.nn.missrec.collaborative import COLLABORATIVE, CollaborativeVectors
from missrec_pl.nn.missrec.embeddings import ItemEmbeddings, UserStates
from missrec_pl.nn.scorers import ContentTerm, CooccurrenceTerm, HistoryBias, ScoredRows

INITIALIZER_RANGE = 0.02  # standard deviation of fresh weights, as in the released code


class SequenceModel(nn.Module, ABC):
    """Base of the architectures; a leaf says how a history becomes a user state.

    Attributes:
        depends_on_padding: True where the padding of a batch changes what it loses.

    Args:
        feature_dims: feature width of each modality, in the order of the token axis ``M``.
        num_items: number ``N`` of real items of the catalogue.
        num_prototypes: number ``K`` of interest prototypes.
        transductive: True gives every item a learned ID embedding.
        hidden_size: width ``D``.
        dropout: dropout probability everywhere.
        max_history: longest history ``L`` that has position embeddings.
        fusion_concentration: initial ``alpha`` of eq. (1); None for a static mean.
        history_bias: ``"learned"`` or ``"none"``; see :class:`HistoryBias`.
        cooccurrence: ``"learned"`` or ``"none"``; see :class:`CooccurrenceTerm`.
        content: ``"learned"`` or ``"none"``; see :class:`ContentTerm`.
        collaborative: number of axes of a further modality made of what users bought together; 0 for none. See
            :class:`CollaborativeVectors`.
        missing: see :class:`ModalityAdapters`.

    Raises:
        ConfigError: features that have that modality's name.
    """

    depends_on_padding = False

    def __init__(
        self,
        feature_dims: Mapping[str, int],
        num_items: int,
        num_prototypes: int,
        *,
        transductive: bool = False,
        hidden_size: int = 300,
        dropout: float = 0.5,
        max_history: int = 50,
        fusion_concentration: float | None = 0.0,
        history_bias: str = "learned",
        cooccurrence: str = "none",
        content: str = "none",
        collaborative: int = 0,
        missing: str = "absent",
    ) -> None:
        super().__init__()
        self.max_history = max_history
        self.collaborative = CollaborativeVectors(num_items, collaborative) if collaborative else None
        dims = dict(feature_dims)
        if self.collaborative is not None:
            if COLLABORATIVE in dims:
                raise ConfigError(
                    f"model.collaborative={collaborative}: the data has features of that name; give them another, "
                    "or leave them out with data.modalities."
                )
            dims[COLLABORATIVE] = collaborative
        self.adapters = ModalityAdapters(dims, hidden_size, missing)
        self.fusion = DynamicFusion(fusion_concentration)
        if len(dims) == 1:  # nothing to weigh, and DDP refuses trained weights without gradients
            self.fusion.requires_grad_(False)
        self.interests = InterestTable(num_prototypes, num_items, len(dims), hidden_size)
        self.position_embedding = nn.Embedding(max_history, hidden_size)
        self.id_embedding = nn.Embedding(num_items + 1, hidden_size, padding_idx=0) if transductive else None
        self.history_bias = HistoryBias() if history_bias == "learned" else None
        self.cooccurrence = CooccurrenceTerm() if cooccurrence == "learned" else None
        self.content = ContentTerm(feature_dims) if content == "learned" else None
        self.input_norm = nn.LayerNorm(hidden_size)
        self.input_dropout = Dropout(dropout)

    def embed_items(
        self,
        features: Mapping[str, Float[Tensor, "_P _F"]],
        rows: Mapping[str, Int[Tensor, " _P"]],
        is_missing: Tensor,
        ids: Int[Tensor, " U"],
        fold: int | None = None,
    ) -> ItemEmbeddings:
        """Item tokens and interest indices of an item table; see :class:`ModalityAdapters`.

        Args:
            features: see :class:`ModalityAdapters`.
            rows: see :class:`ModalityAdapters`.
            is_missing: ``[U, M]``, without the collaborative modality.
            ids: global item ids.
            fold: see :class:`CollaborativeVectors`.
        """
        if self.collaborative is not None:
            vectors, is_unknown = self.collaborative(ids, fold)
            known = (~is_unknown).nonzero()[:, 0]
            features, rows = {**features, COLLABORATIVE: vectors[known]}, {**rows, COLLABORATIVE: known}
            is_missing = torch.cat([is_missing, is_unknown[:, None]], 1)
        tokens = self.adapters(features, rows, len(ids))
        return ItemEmbeddings(tokens, is_missing, self.interests.assignment[ids], ids)

    def without_interest(self, items: ItemEmbeddings) -> Bool[Tensor, "U M"]:
        """True for the tokens that interest discovery leaves out: interests are of content."""
        if self.collaborative is None:
            return items.is_missing
        is_left_out = items.is_missing.clone()
        is_left_out[:, self.adapters.modalities.index(COLLABORATIVE)] = True
        return is_left_out

    @abstractmethod
    def encode_users(
        self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"], items: ItemEmbeddings
    ) -> UserStates:
        """Encode histories.

        Args:
            history: rows of ``items``, chronological, right-padded with 0.
            length: number of items of each history, at least 1.
            items: the embedded item table.
        """

    @property
    def score_terms(self) -> list[nn.Module]:
        """The terms that this network has; see :mod:`missrec_pl.nn.scorers`."""
        terms = (self.history_bias, self.cooccurrence, self.content)
        return [term for term in terms if term is not None]

    def add_score_terms(self, logits: Float[Tensor, "B C"], rows: ScoredRows) -> Float[Tensor, "B C"]:
        """Logits with the score terms."""
        if not self.score_terms:
            return logits
        total: Tensor = sum(term(rows) for term in self.score_terms)
        return logits + rows.of_candidates(total)

    @abstractmethod
    def combine_scores(self, fused: Float[Tensor, "B C"], by_id: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """Transductive score from the fused modality cosines and the cosines with the ID embeddings."""

    def score(self, state: Float[Tensor, "B D"], candidates: ItemEmbeddings) -> Float[Tensor, "B C"]:
        """Scores of candidates before the temperature (eq. 2; transductive: eq. 10), on normalised vectors."""
        user = F.normalize(state, dim=-1)
        groups = candidates.memo.once(
            "groups", lambda: self.fusion.prepare(candidates.tokens, candidates.is_missing)
        )
        fused: Tensor = self.fusion(user, groups)
        if self.id_embedding is None:
            return fused
        by_id = user @ self.id_directions(candidates).T
        fused = torch.where(candidates.is_missing.all(-1), by_id, fused)
        return self.combine_scores(fused, by_id)

    def id_directions(self, candidates: ItemEmbeddings) -> Float[Tensor, "C D"]:
        """Normalised ID embeddings of candidates, made once per table; only of a network with an ID table.

        Looked up without the table's ``padding_idx``: where padding is a candidate it learns, too (compat).
        """
        assert self.id_embedding is not None, "asked of transductive networks alone"
        weight = self.id_embedding.weight
        return candidates.memo.once("ids", lambda: F.normalize(F.embedding(candidates.ids, weight), dim=-1))

    def projected_prototypes(
        self, items: ItemEmbeddings, interests: Int[Tensor, "B Q"], attention: MultiHeadAttention
    ) -> Projected | None:
        """Projections of the interest tokens for the self-attention that reads them, made once per item table.

        None where projecting all prototypes would be more work than projecting those of the histories, which come
        in groups of a batch (eight by default).
        """
        prototypes = self.interests.prototypes
        if len(prototypes) > 4 * interests.numel():
            return None
        return items.memo.once("prototypes", lambda: Projected.of(attention, prototypes)).take(interests)

    def positions(self, history: Int[Tensor, "B L"]) -> Float[Tensor, "L D"]:
        """Position embeddings counted from the start of the history."""
        return self.position_embedding.weight[: history.shape[1]]


def initialise(module: nn.Module) -> None:
    """Fresh weights of the sequence network as in the released code (adapters keep torch's default)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIALIZER_RANGE)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
