"""Reader of released folders: the authors' / UniSRec / RecBole atomic files."""

from missrec_pl.data.released.convert import convert_into, convert_released, read_released, released_files

__all__ = ["convert_into", "convert_released", "read_released", "released_files"]
