"""LiGR: gated pre-norm blocks (Borisyuk et al., 2025), in eSASRec's recipe (arXiv 2508.06450)."""

from __future__ import annotations

from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.sasrec import ItemsFrom, SASRec, Table


class LiGR(SASRec):
    """SASRec's causal network with LiGR blocks: gates that read the un-normalised input, SwiGLU, no final norm.

    A fault of the published program (RecTools) that ``reference`` repeats: items attend to the padding on their
    left unless a flag says otherwise, and padding carries position vectors.

    Args:
        data: sizes of the data.
        items_from: see :class:`SASRec`, as for ``item_ids``, ``table``, ``scale`` and ``cosine``.
        hidden_size: width ``D``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_layers: Transformer blocks.
        dropout: dropout probability everywhere.
        reference: repeats the published fault.

    Raises:
        ConfigError: see :class:`SASRec`.
    """

    decides = ("num_heads", "items_from", "scale", "cosine")

    def __init__(
        self,
        data: DataShape,
        *,
        items_from: ItemsFrom = "ids",
        item_ids: bool = False,
        table: Table = "shared",
        scale: bool = False,
        cosine: bool = False,
        hidden_size: int = 256,
        num_heads: int = 4,
        inner_size: int = 1024,
        num_layers: int = 2,
        dropout: float = 0.2,
        reference: bool = False,
    ) -> None:
        super().__init__(
            data,
            items_from=items_from,
            item_ids=item_ids,
            block="ligr",
            table=table,
            scale=scale,
            cosine=cosine,
            hidden_size=hidden_size,
            num_heads=num_heads,
            inner_size=inner_size,
            num_layers=num_layers,
            dropout=dropout,
            reference=reference,
        )
