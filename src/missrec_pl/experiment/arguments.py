"""The words of a command, put as Hydra takes them: options in any place, groups that are switched off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from missrec_pl.errors import ConfigError

_WITH_VALUE = {"--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"} | {
    *("--cfg", "-c", "--experimental-rerun"),
}
_INFO = ("--info", "-i")
_NOTHING = ("null", "[]")
_OFF = {"logger": "[]", "baselines": "[]", "callbacks": "none", "scorers": "none"}
"""What a group says that is switched off. A run keeps the callbacks that belong to its method."""
_OPTIONAL = ("experiment", "debug", "launch", "hparams_search", "local")
"""Groups that choose nothing unless told."""


def ordered(arguments: Sequence[str]) -> list[str]:
    """Options and their values first, overrides behind, each in the order given.

    Hydra's parser knows no override behind an option that stands between overrides.
    """
    options: list[str] = []
    overrides: list[str] = []
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            # What Lightning's options stand at in the config is theirs, too: adding one says it.
            overrides.append(f"+{word}" if word.startswith("+trainer.") else word)
            continue
        options.append(word)
        if word in _WITH_VALUE:
            options += [value for value in (next(words, None),) if value is not None]
    for place, word in enumerate(options):
        if word in _INFO:  # its value may be left away: no override is to stand for it
            topic = overrides.pop(0) if overrides and "=" not in overrides[0] and overrides[0][0] != "~" else "all"
            options[place] = f"--info={topic}"
    return options + overrides


def without_null_groups(arguments: Sequence[str], configs: Path) -> list[str]:
    """Overrides that switch a config group off (``logger=null``), as Hydra can read them.

    Args:
        arguments: the words of a command.
        configs: the folder of the config groups.

    Raises:
        ConfigError: a run cannot be without the group.
    """
    kept = []
    for word in arguments:
        group, _, value = word.partition("=")
        if word == "~callbacks":
            group, value = "callbacks", "null"
        if value not in _NOTHING or not _is_group(group, configs):
            kept.append(word)
        elif group in _OFF:
            kept.append(f"{group}={_OFF[group]}")
        elif group not in _OPTIONAL:
            raise ConfigError(
                f"{word}: no run is without {group}; leave the word away for the default, or choose one of "
                f"{', '.join(sorted(file.stem for file in (configs / group).glob('*.yaml')))}."
            )
    return kept


def _is_group(name: str, configs: Path) -> bool:
    return name in _OPTIONAL or (name.isidentifier() and (configs / name).is_dir())
