"""The released network written plainly, the baseline of `training.py`: torch's own layers, padding everywhere."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainNetwork(nn.Module):
    """Text and image adapters, a transformer over each row's interests and items, a softmax over all items.

    Args:
        catalogue: the items.
        model: gives the interest table and the sizes.
    """

    def __init__(self, catalogue: Any, model: Any) -> None:
        super().__init__()
        hidden = model.position_embedding.embedding_dim
        whole = catalogue.whole(torch.device("cpu"))
        self.features = []
        for name in catalogue.modalities:
            table = torch.zeros(catalogue.num_items + 1, catalogue.feature_dims[name])
            table[whole.rows[name]] = whole.features[name].float()
            self.features.append(table)
        self.is_missing = whole.is_missing
        self.adapters = nn.ModuleList(nn.Linear(table.shape[1], hidden) for table in self.features)
        self.assignment = model.interests.assignment
        self.prototypes = model.interests.prototypes
        self.position = nn.Embedding(model.max_history, hidden)
        options: dict[str, Any] = {"dropout": 0.5, "activation": "gelu", "batch_first": True}
        self.encoder = nn.TransformerEncoderLayer(hidden, 4, 256, **options)
        self.decoder = nn.TransformerDecoderLayer(hidden, 4, 256, **options)
        self.norm, self.dropout = nn.LayerNorm(hidden), nn.Dropout(0.5)
        self.concentration = nn.Parameter(torch.zeros(()))

    def loss(self, batch: Any) -> Tensor:
        """Mean cross-entropy over the whole catalogue."""
        tokens = torch.stack([adapter(table) for adapter, table in zip(self.adapters, self.features, strict=True)])
        tokens = tokens.masked_fill(self.is_missing.T[:, :, None], 0.0)
        interests = [self.assignment[row].unique() for row in batch.history]
        interests = nn.utils.rnn.pad_sequence(interests, batch_first=True)
        is_interest_padding = interests == 0
        memory = self.encoder(self.prototypes[interests], src_key_padding_mask=is_interest_padding)
        queries = tokens.sum(0)[batch.history] + self.position.weight[: batch.history.shape[1]]
        decoded = self.decoder(
            self.dropout(self.norm(queries)),
            memory,
            tgt_key_padding_mask=batch.history == 0,
            memory_key_padding_mask=is_interest_padding,
        )
        user = F.normalize(decoded[torch.arange(len(batch)), batch.length - 1], dim=-1)
        cosines = torch.einsum("bd,mnd->bnm", user, F.normalize(tokens[:, 1:], dim=-1))
        hidden = self.is_missing[1:].expand_as(cosines)
        weights = (self.concentration * cosines).masked_fill(hidden, torch.finfo(cosines.dtype).min).softmax(-1)
        return F.cross_entropy((weights * cosines).sum(-1) / 0.07, batch.target - 1)
