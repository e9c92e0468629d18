"""Every case: one clear line, exit code 2, nothing written."""

import shutil
from pathlib import Path

import checkpoint_cases  # noqa: F401
import config_cases  # noqa: F401
import document_cases  # noqa: F401
import name_cases  # noqa: F401
import native_cases  # noqa: F401
import pytest
import released_cases  # noqa: F401
from bad_input import (
    CASES,
    SEEN,
    TABLE,
    check_config,
    evaluate_checkpoint,
    merged,
    native,
    normalised,
    prepare,
    released,
)
from runs import CONFIGS

MAKERS = {"released": released, "merged": merged, "native": native}


def show(case, place, request):
    """Make the bad input, then show it to the program; what the program does is the test's to judge."""
    if case.area == "config":
        return lambda: check_config(case.damage)
    if case.area in MAKERS:
        folder = MAKERS[case.area](place / "shop")
        case.damage(folder)
        if case.area == "native":
            return lambda: prepare("check", folder)
        return lambda: prepare("released", folder, place / "out")
    file = shutil.copy(request.getfixturevalue("trained"), place / "last.ckpt")
    case.damage(Path(file))
    if case.area == "checkpoint":
        return lambda: evaluate_checkpoint(place / "last.ckpt")
    return lambda: prepare("import-checkpoint", file, place / "out.ckpt", "--configs", CONFIGS)


def everything(place):
    return sorted(str(path) for path in place.rglob("*"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.area}: {case.what}")
def test_bad_input_is_one_line_and_leaves_nothing(case, tmp_path, capsys, monkeypatch, request):
    place = tmp_path / "in"
    place.mkdir()
    monkeypatch.chdir(tmp_path)  # where hostile code would leave its trace
    run = show(case, place, request)
    before = everything(tmp_path)
    capsys.readouterr()
    if not case.parts:
        run()
        SEEN[case.area, case.what] = "none: it is read"
        assert (place / "out" / "domain.json").is_file()
        return
    with pytest.raises(SystemExit) as ended:
        run()
    printed = capsys.readouterr().err
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert ended.value.code == 2
    assert len(errors) == 1, printed
    assert len(errors[0]) < 700
    assert errors[0].isprintable()
    for part in case.parts:
        assert part in errors[0]
    assert everything(tmp_path) == before
    SEEN[case.area, case.what] = normalised(errors[0], place)


def test_there_are_enough_cases_and_the_table_lists_them():
    assert len(CASES) >= 40
    assert len({(case.area, case.what) for case in CASES}) == len(CASES)
    rows = [line.split(" | ") for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    listed = {(row[0].removeprefix("| "), row[1]): " | ".join(row[2:]) for row in rows[2:]}
    assert set(listed) == {(case.area, case.what) for case in CASES}
    for case in CASES:
        for part in case.parts:
            assert part.replace("|", "\\|") in listed[case.area, case.what]
