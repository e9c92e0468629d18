"""What made the checkpoint that a run started from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from missrec_pl.report.runs.fields import mapping, require, strings


@dataclass(frozen=True)
class Origin:
    """What made the checkpoint that a run started from.

    Attributes:
        phase: Mostly `pretrain`.
        data: Its domains, joined by ``+``.
        setting: `inductive` or `transductive`.
        model: The model's name, the same as the run's.
        experiment: As in `RunResult`, and the two after it.
        experiment_model: The same.
        overrides: The same, without the seed and where files lie.
        origin: What made the checkpoint that it was started from itself, if it was.
    """

    phase: str
    data: str
    setting: str
    model: str
    experiment: str
    experiment_model: str
    overrides: tuple[str, ...]
    origin: "Origin | None"


def read_origin(path: Path, name: str, value: Any, model: str) -> Origin | None:
    """Read ``ckpt_origin`` of a results.json.

    Args:
        path: the file.
        name: of the field, for the messages.
        value: the field.
        model: the model's name.

    Raises:
        DataError: It lacks a key, or holds a value of the wrong kind.
    """
    if value is None:
        return None
    fields = mapping(path, name, value)
    require(path, fields, ("phase", "data", "setting"), within=f"{name}.")
    return Origin(
        phase=str(fields["phase"]),
        data=str(fields["data"]),
        setting=str(fields["setting"]),
        model=model,
        experiment=str(fields.get("experiment") or ""),
        experiment_model=str(fields.get("experiment_model") or ""),
        overrides=strings(path, f"{name}.overrides", fields.get("overrides", [])),
        origin=read_origin(path, f"{name}.ckpt_origin", fields.get("ckpt_origin"), model),
    )
