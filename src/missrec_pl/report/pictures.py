"""What the commands that draw share: colours, the library, where a picture goes, and files whole or not at all."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from missrec_pl.errors import ConfigError
from missrec_pl.system.files import whole_file

# Okabe and Ito's colours, which all kinds of colour vision tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
GREY, DARK = "#9A9A9A", "#333333"


def require_matplotlib() -> None:
    """Refuse before any work is done.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError('the picture needs matplotlib: pip install "missrec-pl[report]"')


def check_out(out: Path, suffix: str) -> Path:
    """The path that ``--out`` names.

    Raises:
        ConfigError: another kind of file, or no such folder.
    """
    if out.suffix != suffix:
        kind = suffix.removeprefix(".").upper()
        raise ConfigError(
            f"--out {out}: the picture is a {kind}; write for example --out {out.with_suffix(suffix)}"
        )
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; make it first")
    return out


def write_whole(target: Path, content: bytes) -> None:
    """Write a file that appears complete or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        with whole_file(target) as part:
            part.write_bytes(content)
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written ({error.strerror}); choose another file by --out"
        ) from error
