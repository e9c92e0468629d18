"""Names that data gives to files stay in their folder."""

from pathlib import Path

import pytest

from missrec_pl.errors import DataError
from missrec_pl.system.names import check_name, inside

NO_NAMES = [
    "",
    ".",
    "..",
    "a/b",
    "/a",
    "a\\b",
    "C:",
    "C:a",
    "a\0b",
    "a\nb",
    "a\x7f",
    "a.",
    "a ",
    "...",
    "a\ud800",
    "x" * 256,
]
DEVICES = ["CON", "con", "Nul", "aux.txt", "PRN .csv", "COM1", "lpt9.parquet", "COM\u00b2", "CONIN$"]


@pytest.mark.parametrize("name", [*NO_NAMES, *DEVICES])
def test_no_name_of_a_file(name: str) -> None:
    with pytest.raises(
        DataError, match=r"domain\.json: .* is no name of a file or folder: it .*rename it"
    ) as caught:
        check_name(name, "domain.json")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "name", ["a", "a.b", ".hidden", "Movies_action", "Küche", "日本", "a b", "console", "com10", "nul_"]
)
def test_a_name_of_a_file(name: str) -> None:
    assert check_name(name, "x") == name


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "/etc/passwd", "a//b", "a/", "./a", "C:/a", "\\\\host\\a", "a/NUL", "a/b\0", "~/../a"],
)
def test_paths_that_leave(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leaves the folder: a part of it"):
        inside(tmp_path, name, "domain.json")


def test_links_inside_are_followed_and_links_out_are_refused(tmp_path: Path) -> None:
    real, top = tmp_path / "real", tmp_path / "top"
    (real / "sub").mkdir(parents=True)
    (real / "file").touch()
    (tmp_path / "secret").touch()
    top.symlink_to(real)  # the user's own folder may be a link
    (real / "near").symlink_to("file")
    (real / "out").symlink_to("../secret")
    (real / "folder").symlink_to(tmp_path)
    (real / "loop").symlink_to("loop")
    assert inside(top, "near", "x") == top / "near"
    assert inside(top, "sub/later", "x") == top / "sub" / "later"
    for name in ("out", "folder/secret", "folder"):
        with pytest.raises(DataError, match="is a link that leads out of"):
            inside(top, name, "x")
        assert inside(top, name, "x", links=True) == top / name
    assert not inside(top, "loop", "x").is_file()
