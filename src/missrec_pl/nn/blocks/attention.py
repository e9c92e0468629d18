"""Scaled dot-product attention with key padding masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.system.shapes import are_fixed, are_symbolic

_HIDDEN = -3e4  # added to the score of a hidden key: its weight is 0 in every precision, and float16 can hold it
_FUSED_WIDTHS = 8  # torch's fused kernels take heads of a multiple of these


class MultiHeadAttention(nn.Module):
    """Multi-head attention. A query whose keys are all padding gets zeros, not NaN.

    Args:
        hidden_size: width ``D``, a multiple of ``num_heads``.
        num_heads: attention heads.
        dropout: probability of dropping an attention weight while training.
        projects: whether a linear layer follows the heads.
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float, *, projects: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = Dropout(dropout)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.output: nn.Module = nn.Linear(hidden_size, hidden_size) if projects else nn.Identity()

    def forward(
        self,
        queries: Float[Tensor, "B Q D"],
        keys: Float[Tensor, "B S D"],
        is_key_padding: Bool[Tensor, "B S"],
    ) -> Float[Tensor, "B Q D"]:
        """Attend from ``queries`` to ``keys`` where ``is_key_padding`` is False."""
        (_, few, width), many = queries.shape, keys.shape[1]
        of_either_way = few * (width + self.num_heads * many), many * (width + few)  # multiplications
        if not are_symbolic() and of_either_way[0] < of_either_way[1]:
            return self._attend_unprojected(queries, keys, is_key_padding)
        return self.attend(self.query(queries), self.key_value(keys), is_key_padding)

    def attend(
        self,
        queries: Float[Tensor, "B Q D"],
        key_values: Float[Tensor, "B S E"],
        is_hidden: Bool[Tensor, "B S"] | Bool[Tensor, "B Q S"],
    ) -> Float[Tensor, "B Q D"]:
        """Attend from projected queries to projected keys and values, ``E = 2 D``.

        Args:
            queries: projected queries.
            key_values: projected keys and values.
            is_hidden: keys that no query, or that each query, may not look at.
        """
        if are_fixed(queries.device) and (queries.device.type == "cpu" or self._head_width % _FUSED_WIDTHS):
            return self._attend_in_few_operations(queries, key_values, is_hidden)
        query = queries.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        key, value = key_values.unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        is_hidden = is_hidden[:, None, None] if is_hidden.dim() == 2 else is_hidden[:, None]
        probability = self.dropout.probability if self.training else 0.0
        is_fused = query.device.type != "cpu" or probability == 0
        if is_fused and not are_symbolic():  # elsewhere it gives NaN where all is hidden
            attended = F.scaled_dot_product_attention(query, key, value, ~is_hidden, probability)
        else:  # torch has no fused CPU kernel with dropout: the same mathematics with our cheaper mask
            attended = self._weights(query @ key.transpose(-1, -2), is_hidden) @ value
        joined: Tensor = self.output(attended.transpose(1, 2).flatten(-2))
        return joined

    @property
    def _head_width(self) -> int:
        return self.query.out_features // self.num_heads

    def _attend_in_few_operations(self, queries: Tensor, key_values: Tensor, is_hidden: Tensor) -> Tensor:
        """The same for a device whose fused kernels refuse this width of heads: masks and scale in the product."""
        (batch, few, _), many, heads = queries.shape, key_values.shape[1], self.num_heads
        query = queries.view(batch, few, heads, -1).transpose(1, 2).reshape(batch * heads, few, -1)
        split = key_values.view(batch, many, 2, heads, -1).permute(2, 0, 3, 1, 4)
        key, value = split.reshape(2, batch * heads, many, -1).unbind()
        bias, sees = _masks(is_hidden, query.dtype)
        bias = bias[:, None].expand(-1, heads, -1, -1).reshape(batch * heads, -1, many)
        scores = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=self._head_width**-0.5)
        attended = torch.bmm(self.dropout(scores.softmax(-1)), value).view(batch, heads, few, -1)
        joined = (attended.transpose(1, 2).reshape(batch, few, -1) * sees).flatten(0, 1)
        output: Tensor = self.output(joined).view(batch, few, -1)
        return output

    def _weights(self, products: Tensor, is_padding: Tensor) -> Tensor:
        """Attention weights of inner products of queries and keys, with dropout."""
        scores = products * self._head_width**-0.5
        weights = scores.masked_fill(is_padding, torch.finfo(scores.dtype).min).softmax(-1)
        dropped: Tensor = self.dropout(weights * ~is_padding.all(-1, keepdim=True))
        return dropped

    def _attend_unprojected(self, queries: Tensor, keys: Tensor, is_key_padding: Tensor) -> Tensor:
        """The same for few queries, without projecting the keys.

        ``<q, K x> = <K' q, x>``, and the weighted sum of ``V x`` is ``V`` of the weighted sum: projected are the
        queries and what they see. What the bias of keys adds is the same for all keys: a softmax takes no notice.
        """
        (batch, few, width), heads = queries.shape, self.num_heads
        to_key, to_value = self.key_value.weight.view(2, heads, -1, width).unbind()  # [H, D / H, D] each
        query = self.query(queries.flatten(0, 1)).view(batch * few, heads, -1).transpose(0, 1)
        if are_fixed(queries.device):
            return self._attend_folded(torch.bmm(query, to_key), to_value, keys, is_key_padding)
        folded = torch.bmm(query, to_key).view(heads, batch, few, width).transpose(0, 1)
        products = torch.bmm(folded.reshape(batch, heads * few, width), keys.transpose(1, 2))
        weights = self._weights(products.view(batch, heads, few, -1), is_key_padding[:, None, None, :])
        seen = torch.bmm(weights.flatten(1, 2), keys).view(batch, heads, few, width).transpose(0, 1)
        values = torch.bmm(seen.reshape(heads, batch * few, width), to_value.transpose(1, 2))
        values = values.view(heads, batch, few, -1).permute(1, 2, 0, 3)
        bias = self.key_value.bias.view(2, heads, -1)[1]
        attended: Tensor = self.output((values + weights.sum(-1).transpose(1, 2)[..., None] * bias).flatten(2))
        return attended

    def _attend_folded(self, folded: Tensor, to_value: Tensor, keys: Tensor, is_hidden: Tensor) -> Tensor:
        """The rest of :meth:`_attend_unprojected` in fewer operations; queries are folded with key weights."""
        (batch, _, width), heads = keys.shape, self.num_heads
        few = folded.shape[1] // batch
        folded = folded.view(heads, batch, few, width).transpose(0, 1).reshape(batch, heads * few, width)
        bias, sees = _masks(is_hidden, keys.dtype)
        scores = torch.baddbmm(bias, folded, keys.transpose(1, 2), alpha=self._head_width**-0.5)
        weights = self.dropout(scores.softmax(-1))
        seen = torch.bmm(weights, keys).view(batch, heads, few, width).transpose(0, 1)
        values = torch.bmm(seen.reshape(heads, batch * few, width), to_value.transpose(1, 2))
        values = values.view(heads, batch, few, -1).permute(1, 2, 0, 3)
        total = weights.sum(-1).view(batch, heads, few).transpose(1, 2)[..., None]
        bias = self.key_value.bias.view(2, heads, -1)[1]
        joined = torch.addcmul(values, total, bias).flatten(2) * sees
        output: Tensor = self.output(joined.flatten(0, 1)).view(batch, few, -1)
        return output


def _masks(is_hidden: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What is added to scores, ``[B, 1, S]`` or ``[B, Q, S]``, and 0 for queries that see no key, 1 for others."""
    hidden = (is_hidden[:, None] if is_hidden.dim() == 2 else is_hidden).to(dtype)
    return hidden * _HIDDEN, 1 - hidden.amin(-1, keepdim=True)


@dataclass(frozen=True)
class Projected:
    """Vectors projected for self-attention; those of a table ``[T, D]`` once instead of at every occurrence.

    Attributes:
        query: ``[B, S, D]`` or ``[T, D]``.
        key_value: ``[B, S, 2D]`` or ``[T, 2D]``.
    """

    query: Tensor
    key_value: Tensor

    @classmethod
    def of(cls, attention: MultiHeadAttention, vectors: Float[Tensor, "*S D"]) -> Projected:
        """Project vectors."""
        flat, shape = vectors.flatten(0, -2), vectors.shape[:-1]
        return cls(attention.query(flat).view(*shape, -1), attention.key_value(flat).view(*shape, -1))

    def take(self, rows: Int[Tensor, "B S"]) -> Projected:
        """The projections of rows of the table."""
        return Projected(F.embedding(rows, self.query), F.embedding(rows, self.key_value))
