"""Each library's words for a full disk, a read-only folder and too many open files are recognised."""

import errno

import pytest

from missrec_pl.errors import DataError, RunError
from missrec_pl.experiment.failures import told
from missrec_pl.prepare import __main__ as prepare
from missrec_pl.report import __main__ as report
from missrec_pl.system.trouble import mistaken_for_damage, trouble_of

FULL = [
    OSError(errno.ENOSPC, "No space left on device", "/out/a"),
    OSError(errno.EFBIG, "File too large"),
    OSError("8000 requested and 4096 written"),  # numpy's tofile
    RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 128 vs 64"),
    RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"),
    OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),  # pyarrow
]


@pytest.mark.parametrize("error", FULL, ids=range(len(FULL)))
def test_a_full_disk(error):
    line = trouble_of(error, "/out")
    assert line.startswith("the disk is full: /out")
    assert len(line.splitlines()) == 1


def test_other_kinds_and_bugs():
    assert trouble_of(OSError(errno.EMFILE, "Too many open files", "/a")).startswith(
        "too many files are open: Too"
    )
    assert "cannot be written" in trouble_of(OSError(errno.EROFS, "Read-only file system", "/a"))
    for bug in (
        RuntimeError("shapes differ"),
        OSError("odd"),
        ValueError("No space left on device"),
        KeyError("x"),
    ):
        assert trouble_of(bug) is None


def test_what_it_was_raised_from_counts(tmp_path):
    outer = RuntimeError("writer closed")
    outer.__cause__ = FULL[0]
    assert "/out/a" in trouble_of(outer)
    with pytest.raises(RunError, match=r"the disk is full.*Nothing was saved yet") as told_of, told(str(tmp_path)):
        raise FULL[3]
    assert told_of.value.exit_code == 3
    with pytest.raises(ZeroDivisionError), told(str(tmp_path)):
        raise ZeroDivisionError


def test_prepare_and_report_end_with_3(monkeypatch, capsys):
    def full(*arguments):
        raise FULL[2]

    monkeypatch.setattr(prepare, "ALL", [type("Full", (), {"name": "full", "run": full, "add_arguments": id})])
    assert prepare.main(["full"]) == 3
    assert "error: the disk is full" in capsys.readouterr().err
    monkeypatch.setattr(report, "make_parser", lambda commands: type("P", (), {"parse_args": lambda s, a: Said})())
    monkeypatch.setitem(report.COMMANDS, "full", type("Full", (), {"run": full}))
    assert report.main(["full"]) == 3


class Said:
    """Parsed arguments."""

    command = "full"


def test_a_file_that_could_not_be_opened_is_not_called_damaged():
    def read(error):
        try:
            try:
                raise error
            except (OSError, ValueError) as cause:
                raise DataError("x.npy: truncated or no .npy file; prepare the domain again") from cause
        except DataError as found:
            return mistaken_for_damage(found)

    line = read(OSError(errno.EMFILE, "Too many open files", "x.npy"))
    assert line is not None
    assert line.startswith("too many files are open")
    assert read(OSError(errno.EACCES, "Permission denied", "x.npy")) is None
    assert read(ValueError("cannot reshape")) is None
    assert mistaken_for_damage(DataError("no cause")) is None
