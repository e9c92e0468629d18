"""Terminals that cannot show every letter."""

from __future__ import annotations

import io
import sys


def print_anything() -> None:
    """Show what a terminal has no letter for as an escape (``\\u2026``), instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
