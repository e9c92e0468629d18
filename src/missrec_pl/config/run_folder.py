"""What the folder of a run holds already: one run does not take another's place unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from missrec_pl.checkpoints.files import LAST
from missrec_pl.errors import ConfigError, DataError, MissrecError
from missrec_pl.system.documents import read_json
from missrec_pl.system.files import RESULTS_NAME
from missrec_pl.system.one_writer import refuse_running_folder

# Where a run lies and what it shows while it runs.
_WITHOUT_EFFECT = ("paths.", "hydra.", "logger", "local", "launch", "callbacks.progress", "resume=")
_OTHER_FOLDER = "choose another folder (hydra.run.dir, hydra.sweep.dir with -m), or delete that one."


def run_folder(cfg: DictConfig) -> Path:
    """The folder that a run writes to.

    Raises:
        ConfigError: nobody has said one, as in a notebook that composes the config itself.
    """
    try:
        return Path(cfg.paths.output_dir)
    except MissrecError:
        raise
    except Exception as error:  # Hydra's resolver raises what it likes
        raise ConfigError(
            "paths.output_dir: only a command makes a folder by itself; compose the config with "
            "paths.output_dir=<folder>."
        ) from error


def refuse_taken_folder(folder: Path, overrides: Sequence[str], resume: str | None) -> None:
    """Refuse a run where another one's results lie, or one that has not ended.

    The same command again replaces what it made; with ``resume`` the checkpoint says whether it fits.

    Args:
        folder: of the run that is to start; it need not exist.
        overrides: what that run is started with.
        resume: as in the config.

    Raises:
        ConfigError: the folder is taken.
    """
    refuse_running_folder(folder)
    if resume is not None:
        return
    results = _results(folder)
    if results is not None:
        found, wanted = _command(results), _in_words(overrides)
        if found != wanted:
            raise ConfigError(
                f"{folder} holds the results of another run ({found}; now {wanted}); {_OTHER_FOLDER}"
            )
    elif (folder / "checkpoints" / LAST).is_file():
        raise ConfigError(
            f"{folder} holds a run that has not ended; continue it with resume=last, {_OTHER_FOLDER}"
        )


def refuse_trained_folder(folder: Path) -> None:
    """Refuse an evaluation where the results of a training run would be lost.

    Raises:
        ConfigError: the folder is a training run's.
    """
    results = _results(folder)
    if results is not None and results.get("phase") != "eval":
        raise ConfigError(f"{folder} holds the results of a training run ({_command(results)}); {_OTHER_FOLDER}")


def _results(folder: Path) -> dict[str, Any] | None:
    try:
        results = read_json(folder / RESULTS_NAME, "remove it")
    except FileNotFoundError:
        return None
    except (OSError, DataError):
        return {}
    return results if isinstance(results, dict) else {}


def _command(results: dict[str, Any]) -> str:
    if results.get("phase") == "eval":
        return "an evaluation"
    return _in_words([str(word) for word in results.get("overrides") or []])


def _in_words(overrides: Sequence[str]) -> str:
    kept = [word for word in overrides if not word.lstrip("+~").startswith(_WITHOUT_EFFECT)]
    return " ".join(sorted(kept)) or "no overrides"
