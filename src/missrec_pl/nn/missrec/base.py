"""What both architectures share: adapters, fusion, ID table, interest table, and the score of a candidate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.attention import MultiHeadAttention, Projected
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.modalities import DynamicFusion, ModalityAdapters
from missrec_pl.nn.blocks.transformer import BlockSizes, Decoder, Encoder
from missrec_pl.nn.blocks.unit_vectors import unit_vectors
from missrec_pl.nn.contract import DataShape, ItemInputs, Items, Recommender, Users
from missrec_pl.nn.interests import InterestSettings, InterestTable
from missrec_pl.nn.missrec.collaborative import COLLABORATIVE, CollaborativeVectors
from missrec_pl.nn.missrec.items import ItemTokens
from missrec_pl.nn.missrec.released_rules import Corrected
from missrec_pl.system.shapes import are_fixed


class SequenceModel(Recommender):
    """Base of the architectures; a leaf says how a history becomes a user state.

    Attributes:
        rules: what is done about missing modalities and padding. A leaf that chooses does so before it calls this
            constructor.

    Args:
        data: sizes of the data.
        interests: how interests are discovered.
        item_ids: True gives every item a learned ID embedding (transductive setting).
        hidden_size: width ``D``.
        num_heads: attention heads (4.2.4: 2; the release: 4).
        inner_size: width of the feed-forward layers.
        num_encoder_layers: ``K_e`` (4.2.4: 1).
        num_decoder_layers: ``K_d`` (4.2.4: 1).
        dropout: dropout probability everywhere.
        fusion_concentration: initial ``alpha`` of eq. (1); None for a static mean.
        collaborative: number of axes of a further modality, see :class:`CollaborativeVectors`; 0 for none. It is
            left out where the data has no cross-fitting folds, as in pre-training.

    Raises:
        ConfigError: features that have that modality's name, or more prototypes than item tokens.
    """

    rules = Corrected()
    item_bound = (
        *("fitted.interests.", "id_embedding.", "fitted.collaborative."),
        f"item_adapters.linear.{COLLABORATIVE}.",
    )
    adapters = ("item_adapters.", "fusion.", "id_embedding.")
    may_differ = ("item_adapters.", "fusion.")
    by_modality = ("fitted.interests.assignment",)
    decides: tuple[str, ...] = ("num_heads",)

    def __init__(
        self,
        data: DataShape,
        *,
        interests: InterestSettings | None = None,
        item_ids: bool = False,
        hidden_size: int = 300,
        num_heads: int = 2,
        inner_size: int = 256,
        num_encoder_layers: int = 1,
        num_decoder_layers: int = 1,
        dropout: float = 0.5,
        fusion_concentration: float | None = 0.0,
        collaborative: int = 0,
    ) -> None:
        super().__init__()
        self.reads = frozenset({"features", "ids"} if item_ids else {"features"})
        self.max_history = data.max_history
        self.depends_on_padding = self.rules.depends_on_padding
        widths = dict(data.feature_dims)
        if collaborative and data.num_folds:
            if COLLABORATIVE in widths:
                raise ConfigError(
                    f"model.collaborative={collaborative}: the data has features of that name; give them another, "
                    "or leave them out with data.modalities."
                )
            self.fitted["collaborative"] = CollaborativeVectors(data.num_items, collaborative)
            widths[COLLABORATIVE] = collaborative
        self.item_adapters = ModalityAdapters(widths, hidden_size, self.rules.missing)
        self.fusion = DynamicFusion(fusion_concentration)
        if len(widths) == 1:  # nothing to weigh, and DDP refuses trained weights without gradients
            self.fusion.requires_grad_(False)
        settings, all_tokens = interests or InterestSettings(), self.rules.clusters_missing
        num_tokens = data.num_items * len(data.feature_dims) if all_tokens else data.num_tokens
        self.fitted["interests"] = InterestTable(
            settings, num_tokens, data.num_items, len(widths), hidden_size, all_tokens=all_tokens
        )
        self.position_embedding = nn.Embedding(data.max_history, hidden_size)
        self.id_embedding = nn.Embedding(data.num_items + 1, hidden_size, padding_idx=0) if item_ids else None
        self.input_norm = nn.LayerNorm(hidden_size)
        self.input_dropout = Dropout(dropout)
        sizes = BlockSizes(hidden_size, num_heads, inner_size, dropout)
        self.encoder, self.decoder = Encoder(num_encoder_layers, sizes), Decoder(num_decoder_layers, sizes)
        self._initialise()

    def _initialise(self) -> None:
        for part in (self.encoder, self.decoder, self.position_embedding, self.id_embedding):
            if part is not None:
                part.apply(self.rules.initialise)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = self.rules.norm_eps

    @property
    def interests(self) -> InterestTable:
        """The interest table."""
        table = self.fitted["interests"]
        assert isinstance(table, InterestTable)
        return table

    def encode_items(self, inputs: ItemInputs) -> ItemTokens:
        """Item tokens and their interests; missing modalities take no part."""
        features, rows, is_missing = dict(inputs.table.features), dict(inputs.table.rows), inputs.is_missing
        if "collaborative" in self.fitted:
            vectors, is_unknown = self.fitted["collaborative"](inputs.ids, inputs.fold)
            if are_fixed(vectors.device):  # of those that are unknown the tokens become zeros below
                known = torch.arange(len(vectors), device=vectors.device)
                features[COLLABORATIVE], rows[COLLABORATIVE] = vectors, known
            else:
                known = (~is_unknown).nonzero()[:, 0]
                features[COLLABORATIVE], rows[COLLABORATIVE] = vectors[known], known
            is_missing = torch.cat([is_missing, is_unknown[:, None]], 1)
        tokens = self.item_adapters(features, rows, len(inputs.ids))
        if "collaborative" in self.fitted and are_fixed(tokens.device):
            tokens = tokens.masked_fill(is_missing[:, :, None], 0.0)
        extra = {
            "is_missing": is_missing,
            "interest": self.interests.assignment[inputs.ids],
            "no_interest": self.rules.without_interest(inputs.ids, self._without_content(is_missing)),
        }
        return ItemTokens(tokens, inputs.ids, extra)

    def _without_content(self, is_missing: Bool[Tensor, "U M"]) -> Bool[Tensor, "U M"]:
        """True for the tokens that interest discovery leaves out: interests are of content."""
        if "collaborative" not in self.fitted:
            return is_missing
        is_left_out = is_missing.clone()
        is_left_out[:, self.item_adapters.modalities.index(COLLABORATIVE)] = True
        return is_left_out

    @abstractmethod
    def combine_scores(self, fused: Float[Tensor, "B C"], by_id: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """Transductive score from the fused modality cosines and the cosines with the ID embeddings."""

    def score(self, users: Users, items: Items) -> Float[Tensor, "R C"]:
        """Scores of candidates before the temperature (eq. 2; transductive: eq. 10), on normalised vectors.

        Where each row has its own candidates, the distinct ones are scored for all rows.
        """
        candidates = as_tokens(items)
        if items.ids.dim() == 1:
            return self._score_shared(users.state, candidates)
        distinct, column = items.ids.unique(return_inverse=True)
        first = torch.full_like(distinct, items.ids.numel()).scatter_reduce(
            0, column.flatten(), torch.arange(items.ids.numel(), device=column.device), reduce="amin"
        )
        flat = as_tokens(candidates.apply(lambda tensor: tensor.flatten(0, 1)[first]))
        return self._score_shared(users.state, flat).gather(1, column)

    def _score_shared(self, state: Float[Tensor, "R D"], candidates: ItemTokens) -> Float[Tensor, "R C"]:
        user = unit_vectors(state)
        fused: Tensor = self.fusion(
            user, candidates.means if self.fusion.concentration is None else candidates.groups
        )
        if self.id_embedding is None:
            return fused
        by_id = user @ candidates.directions(self.id_embedding.weight).T
        fused = torch.where(candidates.is_missing.all(-1), by_id, fused)
        return self.combine_scores(fused, by_id)

    def index_tables(self, items: Items) -> Mapping[str, Tensor]:
        """See :meth:`Recommender.index_tables`: of a static fusion all that is compared, then each modality."""
        tokens = as_tokens(items)
        present = unit_vectors(tokens.tokens) * ~tokens.is_missing[:, :, None]
        whole = present.sum(1) / (~tokens.is_missing).sum(1, keepdim=True).clamp_min(1)
        if self.id_embedding is not None:
            by_id = tokens.directions(self.id_embedding.weight)
            whole = self.combine_scores(torch.where(tokens.is_missing.all(-1, keepdim=True), by_id, whole), by_id)
        tables = {"all": whole}
        if self.fusion.concentration is not None and present.shape[1] > 1:
            tables |= zip(self.item_adapters.modalities, present.unbind(1), strict=True)
        return tables

    def index_query(self, state: Tensor) -> Tensor:
        """See :meth:`Recommender.index_query`."""
        return unit_vectors(state)

    def projected_prototypes(
        self, items: ItemTokens, interests: Int[Tensor, "B Q"], attention: MultiHeadAttention
    ) -> Projected | None:
        """Projections of the interest tokens for the self-attention that reads them, made once per item table.

        None where projecting all prototypes would be more work than projecting those of the histories, which come
        in groups of a batch (eight by default); and with fixed shapes, where the gradient of the table would be
        a sum by prototype, sorted in every step, and products are cheap.
        """
        prototypes = self.interests.prototypes
        if are_fixed(prototypes.device) or len(prototypes) > 4 * interests.numel():
            return None
        return items.projected(attention, prototypes).take(interests)

    def positions(self, history: Int[Tensor, "B L"]) -> Float[Tensor, "L D"]:
        """Position embeddings counted from the start of the history."""
        return self.position_embedding.weight[: history.shape[1]]


def as_tokens(items: Items) -> ItemTokens:
    """Items of the framework as what they are for these networks."""
    return items if isinstance(items, ItemTokens) else ItemTokens(items.vectors, items.ids, items.extra)
