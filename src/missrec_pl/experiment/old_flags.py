"""Flags of earlier versions on the command line: translated, with one line that says the new form."""

from __future__ import annotations

from collections.abc import Sequence

from missrec_pl.checkpoints.versions import modern_override


def modern_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of a command in today's form.

    Args:
        arguments: what the command was given, without the program's name.

    Returns:
        The arguments, and a line for each that was translated.
    """
    kept: list[str] = []
    lines: list[str] = []
    for word in arguments:
        new = None if word.startswith("-") else modern_override(word)
        if new is None:
            kept.append(word)
            continue
        kept += [one for one in new if one not in kept]
        lines.append(
            f"{word} is called {' '.join(new)} from this version on; the old form goes with the next one."
        )
    if any(
        word.startswith("model=") and "missrec_compat" in word for word in kept
    ):  # the old switch stood beside the choice of the network
        kept = [word for word in kept if word != "model=missrec_released"]
    return kept, lines
