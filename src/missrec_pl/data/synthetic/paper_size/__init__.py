"""Generated domains with the counts of the paper's pre-training data."""

from missrec_pl.data.synthetic.paper_size.content import PAPER_SHAPES, PaperSizeDomains

__all__ = ["PAPER_SHAPES", "PaperSizeDomains"]
