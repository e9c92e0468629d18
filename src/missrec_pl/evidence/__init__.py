"""What networks know of the data beside their weights, made anew from it."""

from missrec_pl.evidence.attach import attach_evidence

__all__ = ["attach_evidence"]
