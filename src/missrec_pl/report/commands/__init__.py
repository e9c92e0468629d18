"""One module per command of ``python -m missrec_pl.report``."""
