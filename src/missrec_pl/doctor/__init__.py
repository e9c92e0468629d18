"""What is wrong with this machine for this program: all findings at once, each with its remedy."""

from missrec_pl.doctor.findings import Finding

__all__ = ["Finding"]
