"""JSON and YAML of any size and depth: read, or refused in one line, soon."""

import io
import time
from pathlib import Path

import pytest

from missrec_pl.errors import DataError
from missrec_pl.system import documents
from missrec_pl.system.documents import checked_lines, parse_json, parse_yaml, read_json, read_yaml

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
BAD_JSON = {
    "deep": ("[" * 100_000, "nested deeper than 100"),
    "deep objects": ('{"a":' * 5000 + "1" + "}" * 5000, "nested deeper than 100"),
    "twice": ('{"a": 1, "a": 2}', "'a' comes twice"),
    "not a number": ('{"a": NaN}', "NaN is no number"),
    "infinite": ("[-Infinity]", "-Infinity is no number"),
    "infinite by size": ("[1e999]", "1e999 is too large"),
    "many digits": ("[" + "9" * 5000 + "]", "a number of 5000 digits"),
    "half": ('{"a"', "not valid JSON"),
    "open text": ('"' + "\\" * 99_999, "not valid JSON"),
    "empty": ("", "not valid JSON"),
}
BAD_YAML = {
    "deep": ("[" * 5000, "nested deeper than 100"),
    "deep blocks": ("\n".join(" " * n + "a:" for n in range(500)), "nested deeper than 100"),
    "bomb": (BOMB, "aliases repeat more than"),
    "itself": ("a: &a [*a]", "an alias refers to what holds it"),
    "twice": ("a: 1\na: 2", "'a' comes twice"),
    "objects": ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    "not a number": ("a: .nan", "no finite number"),
    "infinite": ("a: -.inf", "no finite number"),
    "many digits": ("a: 0x" + "f" * 5000, "a number of 20000 bits"),
    "several": ("a: 1\n---\nb: 2", "not valid YAML"),
}


@pytest.mark.parametrize(
    ("parse", "text", "told"),
    [
        *[pytest.param(parse_json, *case, id=f"json {name}") for name, case in BAD_JSON.items()],
        *[pytest.param(parse_yaml, *case, id=f"yaml {name}") for name, case in BAD_YAML.items()],
    ],
)
def test_bad_documents_are_one_line_soon(parse, text: str, told: str) -> None:
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        parse(text, "file", "mend it")
    assert told in str(caught.value)
    assert str(caught.value).startswith("file: ")
    assert str(caught.value).endswith("; mend it")
    assert len(str(caught.value)) < 500
    assert time.monotonic() - started < 10


def test_good_documents() -> None:
    assert parse_json('{"a[[": ["\\"]}", -1.5e3, null, 12345678901234567890]}', "file", "") == {
        "a[[": ['"]}', -1500.0, None, 12345678901234567890]
    }
    assert parse_yaml("base: &b {x: 1}\nown: {<<: *b, y: [1, a, null, 1.5]}", "file", "") == {
        "base": {"x": 1},
        "own": {"x": 1, "y": [1, "a", None, 1.5]},
    }
    assert parse_json("[" * 100 + "]" * 100, "file", "")
    assert parse_yaml("", "file", "") is None


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_large_files_are_not_read(read, tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: a terabyte of zeros
    with pytest.raises(DataError, match=r"large: larger than [\d,]+ bytes; mend it"):
        read(file, "mend it")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path, "mend it")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none", "mend it")


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_LINE", 10)
    assert list(checked_lines(io.StringIO("a\r\nb\n123456789\nlast", newline=""), "f")) == [
        "a\r\n", "b\n", "123456789\n", "last",
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"f:2: a line of more than 10 characters"):
        list(checked_lines(io.StringIO("a\n" + "x" * 100), "f"))
