"""Tables as W&B shows them: pictures as one small strip a cell."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from missrec_pl.loggers.facts import Pictures, Table

_SIDE = 72  # pixels of a picture


def to_wandb(table: Table) -> Any:
    """A ``wandb.Table``; without pictures where Pillow is missing."""
    import wandb

    shown = table if importlib.util.find_spec("PIL") is not None else table.plain()
    rows = [[_cell(cell) for cell in row] for row in shown.rows]
    return wandb.Table(columns=list(shown.columns), data=rows, allow_mixed_types=True)


def bar_chart(name: str, table: Table) -> Any:
    """A bar for each row, drawn by W&B."""
    import wandb

    label, value = table.columns[0], table.bar
    place = list(table.columns).index(value)
    data = wandb.Table(columns=[label, value], data=[[str(row[0]), row[place]] for row in table.rows])
    return wandb.plot.bar(data, label, value, title=f"{value} by {name.removeprefix('groups_').replace('_', ' ')}")


def strip(files: Sequence[Path]) -> Any:
    """Pictures side by side as one Pillow image; None without any that can be read."""
    from PIL import Image, ImageOps

    shown = []
    for file in files:
        try:
            with Image.open(file) as picture:
                picture.draft("RGB", (2 * _SIDE, 2 * _SIDE))
                shown.append(ImageOps.pad(picture.convert("RGB"), (_SIDE, _SIDE), color="white"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    if not shown:
        return None
    whole = Image.new("RGB", (_SIDE * len(shown), _SIDE), "white")
    for place, small in enumerate(shown):
        whole.paste(small, (_SIDE * place, 0))
    return whole


def _cell(cell: Any) -> Any:
    if not isinstance(cell, Pictures):
        return cell
    import wandb

    picture = strip(cell.files)
    return None if picture is None else wandb.Image(picture, file_type="jpg")
