"""VQ-Rec: items as discrete codes of their features, codes as learned vectors (Hou et al., WWW 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.causal_encoder import CausalEncoder
from missrec_pl.nn.blocks.codes import Assignment, CodeTable, ProductCodes, PublishedAssignment
from missrec_pl.nn.blocks.cosines import cosine_scores
from missrec_pl.nn.blocks.modalities import NOTHING_TO_COMPARE
from missrec_pl.nn.blocks.transformer import BlockSizes
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users
from missrec_pl.system.choices import chosen

AssignmentKind = Literal["identity", "learned"]


class VQRec(Recommender):
    """An item is the mean of its codes' vectors, a score a cosine. Each modality has codes and vectors of its own.

    Codes are fitted to the features of each run's items. Mended faults of the published code: its index assignment
    has a gradient of exactly 0, so that codes of new items take vectors at random, some the same ones and some an
    untrained one (:class:`PublishedAssignment`); a masked duplicate keeps a logit of 0
    (``objective.duplicate_logit``); the padding item is a class of the softmax (``objective.padding_candidate``);
    the encoder is frozen in fine-tuning even where nothing was pre-trained, and keeps its dropout.

    Args:
        data: sizes of the data.
        code_dim: codes of an item and modality.
        code_cap: values of a code, a power of 2.
        assignment: which vector a value takes in fine-tuning from other items' vectors: its own number's
            (``identity``), or that of a ``learned`` permutation.
        sinkhorn_rounds: of the algorithm that learns permutations.
        hidden_size: width ``D``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_layers: Transformer blocks.
        dropout: dropout probability of the Transformer.
        reference: as published, where that is a fault; goes with ``objective=vqrec_reference``.

    Raises:
        ConfigError: an unknown choice, or a number of values that is no power of 2.
    """

    reads = frozenset({"features"})
    example = "prefix"
    item_bound = ("fitted.codes_", "assignments.")
    adapters = ("item_adapters.", "assignments.", "encoder.input_norm.")  # all that the published code leaves free
    may_differ = ("item_adapters.", "assignments.")
    decides = ("num_heads", "code_dim", "code_cap")

    def __init__(
        self,
        data: DataShape,
        *,
        code_dim: int = 32,
        code_cap: int = 256,
        assignment: AssignmentKind = "identity",
        sinkhorn_rounds: int = 3,
        hidden_size: int = 300,
        num_heads: int = 2,
        inner_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.5,
        reference: bool = False,
    ) -> None:
        super().__init__()
        if code_cap < 2 or code_cap & (code_cap - 1):
            raise ConfigError(f"model.code_cap={code_cap}: must be a power of 2 from 2, e.g. model.code_cap=256.")
        self.reference = reference
        self.modalities = list(data.feature_dims)
        for name, width in data.feature_dims.items():
            self.fitted[f"codes_{name}"] = ProductCodes(name, width, code_dim, code_cap)
        tables = {name: CodeTable(code_dim, code_cap, hidden_size) for name in self.modalities}
        self.item_adapters = nn.ModuleDict({"tables": nn.ModuleDict(tables)})
        self.assignments = nn.ModuleDict()
        if chosen("model.assignment", assignment, get_args(AssignmentKind)) == "learned":
            kind = PublishedAssignment if reference else Assignment
            self.assignments.update({name: kind(code_dim, code_cap, sinkhorn_rounds) for name in self.modalities})
        sizes = BlockSizes(hidden_size, num_heads, inner_size, dropout)
        self.encoder = CausalEncoder(sizes, num_layers, data.max_history)

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``; ``extra["codes"] [U, M, K]``: rows of the tables."""
        rows = []
        for name in self.modalities:
            present, features = inputs.present(name)
            codes = self.fitted[f"codes_{name}"](features, is_whole=inputs.table.is_whole)
            found = self.table(name).rows_of(codes)
            rows.append(found.new_zeros(len(inputs.ids), found.shape[1]).index_copy(0, present, found))
        codes = torch.stack(rows, 1)
        return Items(self.vectors_of(codes), inputs.ids, {"codes": codes})

    def vectors_of(self, codes: Int[Tensor, "U M K"]) -> Float[Tensor, "U D"]:
        """The mean of the codes' vectors; a missing modality takes no part.

        Args:
            codes: rows of each modality's table, 0 for no code.
        """
        means, has_none = [], (codes == 0).all(-1).all(-1, keepdim=True)
        for m, name in enumerate(self.modalities):
            table = self.table(name).weight
            if name in self.assignments:
                table = self.assignments[name](table)
            mean = F.embedding_bag(codes[:, m], table, mode="mean", padding_idx=0)
            means.append(torch.where(has_none, table[0].detach(), mean) if self.reference else mean)
        count = (codes != 0).any(-1).sum(1, keepdim=True).clamp_min(1)
        return torch.stack(means).sum(0) / count

    def synthetic(self, items: Items, share: float) -> Items:
        """Items that do not exist: some of these items' codes are replaced by random values at the same place.

        Args:
            items: ``[R]`` items.
            share: probability of each code to be replaced; the draw may be the same value again.
        """
        codes = items.extra["codes"]
        table = self.table(self.modalities[0])
        drawn = table.rows_of(torch.randint(table.size - 1, codes.shape, device=codes.device))
        is_replaced = (torch.rand(codes.shape, device=codes.device) < share) & (codes != 0)
        codes = torch.where(is_replaced, drawn, codes)
        return Items(self.vectors_of(codes), torch.zeros_like(items.ids), {"codes": codes})

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``."""
        return Users(self.encoder(F.embedding(history.rows, items.vectors), history.is_padding))

    def score(self, users: Users, items: Items) -> Tensor:
        """Cosines; an item that nothing is known of is ranked last."""
        return cosine_scores(users.state, items.vectors, of_nothing=0.0 if self.reference else NOTHING_TO_COMPARE)

    def table(self, modality: str) -> CodeTable:
        """The vectors of a modality's codes."""
        table = self.item_adapters["tables"].get_submodule(modality)
        assert isinstance(table, CodeTable)
        return table

    def index_tables(self, items: Items) -> Mapping[str, Tensor]:
        """See :meth:`Recommender.index_tables`."""
        return {"items": F.normalize(items.vectors, dim=-1)}

    def index_query(self, state: Tensor) -> Tensor:
        """See :meth:`Recommender.index_query`."""
        return F.normalize(state, dim=-1)

    def compiled_parts(self) -> list[nn.Module]:
        """The Transformer blocks."""
        return list(self.encoder.blocks)
