import json
import subprocess
import sys

import pytest
from packaging.version import Version

from missrec_pl.data.synthetic import SyntheticDomains
from missrec_pl.doctor import checks
from missrec_pl.doctor.__main__ import main


@pytest.fixture
def folders(tmp_path):
    return ["--data-dir", tmp_path / "data", "--cache-dir", tmp_path / "cache", "--output-dir", tmp_path / "out"]


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_a_sound_machine_has_no_problem(folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    source = SyntheticDomains(tmp_path / "cache", num_domains=1, num_users=9, num_items=20, num_interests=2)
    source.prepare()
    (path,) = source.paths()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shop").symlink_to(path)
    code, text = run(capsys, *folders)
    assert code == 0, text
    for subject in ("python", "torch", "lightning", "cuda", "disk", "wandb"):
        assert f" {subject} " in text
    assert "users=9, items=20" in text
    assert "0 problems" in text
    assert not (tmp_path / "out").exists()


def test_all_problems_at_once_each_with_its_remedy(folders, tmp_path, capsys, monkeypatch):
    installed = {"lightning": "2.6.2", "torch": "2.0.0", "optuna": "5.1"}
    version = checks.version
    monkeypatch.setattr(checks, "version", lambda name: installed.get(name) or version(name))
    monkeypatch.setattr(checks.keops, "missing_compiler", lambda: "KeOps needs g++")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    broken = tmp_path / "data" / "broken"
    broken.mkdir(parents=True)
    (broken / "domain.json").write_text(json.dumps({"schema_version": 9}))
    code, text = run(capsys, *folders, "--quiet")
    assert code == 2
    for part in (
        "a malicious upload",
        "2.0.0 is not",
        "5.1 is not supported",
        "KeOps needs g++",
        "schema version 9",
    ):
        assert part in text
    assert "no key: logger=wandb is refused" in text
    lines = text.splitlines()
    for number, line in enumerate(lines[:-1]):
        if line.startswith(("warning", "problem")):
            assert lines[number + 1].strip().startswith("-> "), line


def test_a_missing_package_and_a_missing_folder(folders, capsys, monkeypatch):
    monkeypatch.setattr(checks, "_installed", lambda name: None if name == "wandb" else str(Version("99")))
    code, text = run(capsys, *folders)
    assert code == 2
    assert "wandb" in text
    assert "is not installed" in text
    assert "does not exist" in text


def test_a_check_that_breaks_hides_no_other(folders, capsys, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no such luck")

    monkeypatch.setattr("missrec_pl.doctor.checks.check_keops", broken)
    code, text = run(capsys, *folders)
    assert code == 2
    assert "RuntimeError: no such luck" in text
    assert " disk " in text


def test_no_compiled_kernels_are_loaded(folders):
    program = (
        "import sys; from missrec_pl.doctor.__main__ import main; main(sys.argv[1:]); "
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('pykeops', 'keopscore')))"
    )
    command = [sys.executable, "-c", program, *map(str, folders)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert " keops " in checked.stdout
    assert checked.stdout.endswith("\n[]\n")
