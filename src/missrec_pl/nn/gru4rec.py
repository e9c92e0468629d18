"""GRU4Rec: a recurrent network over the history's items (Hidasi et al., ICLR 2016), as RecBole builds it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users


class GRU4Rec(Recommender):
    """A GRU without biases, a linear layer back to the embeddings' width; a score is an inner product.

    After Tan et al. (DLRS 2016): histories are padded to batches, where Hidasi et al. run sessions in parallel. A
    place sees what stands up to it, so that one pass has a target at every place. RecBole gives the padding item a
    random vector and makes it a class of the softmax; here it is zero and no candidate.

    Args:
        data: sizes of the data.
        embedding_size: width ``E`` of the items' embeddings.
        hidden_size: width ``H`` of the GRU's states.
        num_layers: GRU layers.
        dropout: dropout probability of the embedded histories; nothing else is dropped.

    Raises:
        ConfigError: an ``embedding_size`` below 1.
    """

    example = "shifted"
    item_bound = ("item_embedding.",)
    adapters = ("item_embedding.",)

    def __init__(
        self,
        data: DataShape,
        *,
        embedding_size: int = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if embedding_size < 1:
            raise ConfigError(f"model.embedding_size={embedding_size}: must be a whole number from 1.")
        self.item_embedding = nn.Embedding(data.num_items + 1, embedding_size)
        self.dropout = Dropout(dropout)
        self.gru = nn.GRU(embedding_size, hidden_size, num_layers, bias=False, batch_first=True)
        self.output = nn.Linear(hidden_size, embedding_size)
        self._initialise()

    def _initialise(self) -> None:
        """As RecBole: Xavier for the table and the first GRU layer, torch's own for the rest."""
        nn.init.xavier_normal_(self.item_embedding.weight)
        with torch.no_grad():
            self.item_embedding.weight[0].zero_()
        for name in ("weight_ih_l0", "weight_hh_l0"):
            nn.init.xavier_uniform_(self.gru.get_parameter(name))

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, E]``."""
        return Items(self.item_embedding(inputs.ids), inputs.ids)

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, E]``."""
        embedded: Float[Tensor, "B L E"] = nn.functional.embedding(history.rows, items.vectors)
        states, _ = self.gru(self.dropout(embedded))
        return Users(self.output(states))
