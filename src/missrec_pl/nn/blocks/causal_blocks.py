"""Blocks of causal Transformers as published programs build them, and what each program puts around its blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.nn.blocks.attention import MultiHeadAttention
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.transformer import BlockSizes, EncoderBlock, FeedForward, initialise
from missrec_pl.nn.contract import Histories, Items, Users


class QueryNormBlock(nn.Module):
    """The SASRec paper's block: queries alone are normalised, and the residual is the normalised query.

    ``q = LN(x)``, ``f = LN(q + attention(q, x, x))``, ``y = f + W2 relu(W1 f)``.
    """

    projects = True

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.self_attention = MultiHeadAttention(width, sizes.num_heads, sizes.dropout, projects=self.projects)
        self.feed_forward = FeedForward(sizes, F.relu)
        self.query_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = Dropout(sizes.dropout)

    def forward(self, x: Float[Tensor, "B S D"], is_hidden: Bool[Tensor, "B S S"]) -> Float[Tensor, "B S D"]:
        """Encode; ``is_hidden`` says which keys a query does not look at."""
        query, attention = self.query_norm(x), self.self_attention
        attended = attention.attend(attention.query(query), attention.key_value(x), is_hidden)
        x = self.feed_forward_norm(query + attended)
        out: Tensor = x + self.dropout(self.feed_forward(x))
        return out


class UnprojectedQueryNormBlock(QueryNormBlock):
    """The same without a linear layer after the heads, as the code of gSASRec has it."""

    projects = False


class SwiGLU(nn.Module):
    """``W2 (silu(W1 x) * W3 x)`` without biases (Shazeer, 2020)."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        self.gate = nn.Linear(sizes.hidden_size, sizes.inner_size, bias=False)
        self.expand = nn.Linear(sizes.hidden_size, sizes.inner_size, bias=False)
        self.contract = nn.Linear(sizes.inner_size, sizes.hidden_size, bias=False)
        self.dropout = Dropout(sizes.dropout)

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        """Apply the layer to every vector."""
        out: Tensor = self.contract(self.dropout(F.silu(self.gate(x)) * self.expand(x)))
        return out


class LiGRBlock(nn.Module):
    """Pre-norm block whose branches are gated by the un-normalised input (LiGR).

    ``x1 = x + sigmoid(W1 x) * attention(LN(x))``, ``y = x1 + sigmoid(W2 x1) * SwiGLU(LN(x1))``.
    """

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.self_attention, self.feed_forward = sizes.attention(), SwiGLU(sizes)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_gate, self.feed_forward_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = Dropout(sizes.dropout)

    def forward(self, x: Float[Tensor, "B S D"], is_hidden: Bool[Tensor, "B S S"]) -> Float[Tensor, "B S D"]:
        """Encode; ``is_hidden`` says which keys a query does not look at."""
        normed, attention = self.attention_norm(x), self.self_attention
        attended = attention.attend(attention.query(normed), attention.key_value(normed), is_hidden)
        x = x + torch.sigmoid(self.attention_gate(x)) * self.dropout(attended)
        fed = self.feed_forward(self.feed_forward_norm(x))
        out: Tensor = x + torch.sigmoid(self.feed_forward_gate(x)) * self.dropout(fed)
        return out


def xavier(module: nn.Module) -> None:
    """RecTools' fresh weights: Xavier's normal ones for matrices and tables; the padding item's row is zero."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.xavier_normal_(module.weight)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()


def torch_default(module: nn.Module) -> None:
    """What torch gives a layer: N(0, 1) for tables, as the code of gSASRec leaves them."""


@dataclass(frozen=True)
class BlockKind:
    """How a published program builds its causal Transformer.

    Attributes:
        block: makes a block of the given sizes.
        initialise: gives a module fresh weights.
        reference_initialise: the same as published, in reference mode, where that was found to be a fault.
        positions_from: whether position 0 is the oldest item of a history (``start``) or the newest (``end``).
        norm_eps: epsilon of every LayerNorm but the final one.
        has_input_norm: whether LayerNorm and dropout, or dropout alone, follow the sum of item and position.
        final_norm_eps: epsilon of a LayerNorm behind the last block; None for none.
        sees_padding: whether items attend to the padding on their left as published: a fault, in reference mode.
        zeroes_padding: whether padding is set to zero before each block, which shows where it is seen.
        trains_padding: whether the padding item's row is learned as published: a fault, in reference mode.
    """

    block: Callable[[BlockSizes], nn.Module]
    initialise: Callable[[nn.Module], None]
    positions_from: Literal["start", "end"] = "end"
    norm_eps: float = 1e-5
    has_input_norm: bool = False
    final_norm_eps: float | None = None
    sees_padding: bool = False
    zeroes_padding: bool = False
    trains_padding: bool = False
    reference_initialise: Callable[[nn.Module], None] | None = None


BLOCKS = {
    "recbole": BlockKind(
        EncoderBlock, initialise, "start", norm_eps=1e-12, has_input_norm=True, trains_padding=True
    ),
    "rectools": BlockKind(QueryNormBlock, xavier, final_norm_eps=1e-8, sees_padding=True, zeroes_padding=True),
    "gsasrec": BlockKind(
        UnprojectedQueryNormBlock, initialise, final_norm_eps=1e-5, reference_initialise=torch_default
    ),
    "ligr": BlockKind(LiGRBlock, xavier, sees_padding=True),
}


@dataclass(frozen=True)
class LaidOut:
    """Histories as a causal network reads them.

    Attributes:
        rows: ``[B, W]`` rows of the items, 0 for padding.
        length: ``[B]`` from which places are counted: one more than the newest item's.
        is_padding: ``[B, W]``.
        is_hidden: ``[B, W, W]`` which keys a query does not look at.
        place: ``[B, L]`` where each place of the histories stands now; None: where it stood.
    """

    rows: Tensor
    length: Tensor
    is_padding: Tensor
    is_hidden: Tensor
    place: Tensor | None = None


def right_padded(history: Histories) -> LaidOut:
    """Histories as they are: no query looks at what comes after it, nor at padding."""
    is_padding = history.is_padding
    is_hidden = later(history.rows.shape[1], history.rows.device) | is_padding[:, None]
    return LaidOut(history.rows, history.length, is_padding, is_hidden)


def left_padded(history: Histories, width: int) -> LaidOut:
    """Histories at the right end of ``width`` places, whose padding is seen by every item on its right."""
    count, own = history.rows.shape
    width = max(width, own)
    shift = width - history.length[:, None]
    place = torch.arange(width, device=shift.device) - shift
    rows = history.rows.gather(1, place.clamp(0, own - 1)) * (place >= 0)
    is_hidden = later(width, shift.device).expand(count, -1, -1)
    moved = (torch.arange(own, device=shift.device) + shift).clamp_max(width - 1)
    return LaidOut(rows, torch.full_like(history.length, width), place < 0, is_hidden, moved)


def later(width: int, device: torch.device) -> Bool[Tensor, "S S"]:
    """True where the key comes after the query."""
    return torch.ones(width, width, dtype=torch.bool, device=device).triu(diagonal=1)


def positions(
    length: Int[Tensor, " B"], width: int, count: int, start: Literal["start", "end"]
) -> Int[Tensor, "_B S"]:
    """``[1, L]`` or ``[B, L]`` positions of places among ``count``, from the oldest or from the newest item."""
    place = torch.arange(width, device=length.device)[None]
    return (place if start == "start" else length[:, None] - 1 - place).clamp(0, count - 1)


def of_unit_length(users: Users, items: Items) -> tuple[Users, Items]:
    """Users and items whose inner products are cosines; a zero vector stays zero."""
    users = replace(users, state=F.normalize(users.state, dim=-1, eps=1e-8))
    return users, replace(items, vectors=F.normalize(items.vectors, dim=-1, eps=1e-8))
