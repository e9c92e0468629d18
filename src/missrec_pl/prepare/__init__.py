"""From raw data to domain folders: ``python -m missrec_pl.prepare <command>``."""
