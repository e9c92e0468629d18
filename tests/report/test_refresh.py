from pathlib import Path

import pytest
from fabricated import write_ranks, write_run

from missrec_pl.report.__main__ import main

PAGE = """# Results

`python -m missrec_pl.report table runs`:

| Data | old |
| --- | ---: |
| x | 1 |

- the author's own

`python -m missrec_pl.report paired runs --where seed=0`:

| old |

- an old note
- another

- the author's own

`python -m missrec_pl.report runs gone`:

| kept |

`python -m missrec_pl.report runs runs --where seed=7`:

| kept, too |

`python -m missrec_pl.report runs runs`

`python -m missrec_pl.report runs runs`:

no table here
"""


def made(tmp_path: Path, text: str = PAGE) -> Path:
    page = tmp_path / "results.md"
    page.write_text(text)
    write_run(tmp_path / "there" / "runs", "a", 0.5, seed=0)
    write_ranks(tmp_path / "there" / "runs", "a", [1.0, 20.0])
    return page


def refreshed(page: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["refresh", str(page), "--runs", str(page.parent / "there")]) == 0
    return capsys.readouterr().out


def test_tables_are_what_their_commands_print_and_everything_else_stays(tmp_path, capsys, monkeypatch):
    page = made(tmp_path)
    said = refreshed(page, capsys)
    assert "written: table runs\n" in said
    assert "no runs: runs gone\n" in said
    assert said.endswith(f"{page}: 2 written, 0 the same, 2 no runs\n")
    monkeypatch.chdir(tmp_path / "there")
    expected = PAGE
    for command, old in (
        ("table runs", "| Data | old |\n| --- | ---: |\n| x | 1 |\n"),
        ("paired runs --where seed=0", "| old |\n\n- an old note\n- another\n"),
    ):
        assert main([*command.split(), "--format", "markdown"]) == 0
        table = capsys.readouterr().out
        assert "| A | B |" in table or "0.5" in table
        expected = expected.replace(old, table)
    assert page.read_text() == expected


def test_a_second_time_changes_nothing(tmp_path, capsys):
    page = made(tmp_path)
    refreshed(page, capsys)
    before = page.read_bytes(), page.stat().st_mtime_ns
    assert "0 written, 2 the same, 2 no runs" in refreshed(page, capsys)
    assert (page.read_bytes(), page.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PAGE.replace("table runs", "table runs --metrics nonsense@10"), "nonsense@10"),
        (PAGE.replace("table runs", "tables runs"), "invalid choice: 'tables'"),
        (PAGE.replace("table runs", "table runs --wher seed=0 --why"), "unrecognized arguments: --why"),
        ("nothing", "nothing to make anew"),
    ],
)
def test_a_mistake_leaves_the_page(tmp_path, capsys, text, words):
    page = made(tmp_path, text)
    assert main(["refresh", str(page), "--runs", str(tmp_path / "there")]) == 2
    assert words in capsys.readouterr().err
    assert page.read_text() == text


def test_what_is_not_there_is_named(tmp_path, capsys):
    page = made(tmp_path)
    for arguments in ([tmp_path / "none.md"], [page, "--runs", tmp_path / "none"]):
        assert main(["refresh", *map(str, arguments)]) == 2
        assert f"{arguments[-1]} does not exist" in capsys.readouterr().err
