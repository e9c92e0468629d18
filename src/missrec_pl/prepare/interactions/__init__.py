"""From raw logs to sequences: readers of the public formats, filters, and the writer of a domain without features.

All of it is SQL on DuckDB: columnar, on several threads, and spilled to disk where memory is short.
"""

from missrec_pl.prepare.interactions.conversion import Options, convert

__all__ = ["Options", "convert"]
