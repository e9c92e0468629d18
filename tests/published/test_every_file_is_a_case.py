"""Each file of published numbers belongs to a test, and each beginning of a name is read by one."""

import os
from pathlib import Path

from published_files import PREFIXES, every_file, prefix_of

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")


def test_every_file_is_a_case():
    assert [path.name for path in every_file(FOLDER) if prefix_of(path.name) is None] == []


def test_every_beginning_is_read_by_a_test():
    tests = "".join(
        path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name
    )
    assert [prefix for prefix in PREFIXES if f'"{prefix}"' not in tests] == []
