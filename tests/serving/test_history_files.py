"""Files of histories: what is read, what is written, and what a kill leaves."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from served_shop import IDS, written

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.serving import load
from missrec_pl.serving.__main__ import main
from missrec_pl.serving.batch import recommend_file
from missrec_pl.serving.history_files import read_histories

HISTORIES = [["i1", "i2"], [], ["nobody"], ["i3"], ["i4", "i5", "i6", "i7", "i8", "i9"], ["i1"], ["x", "i2"]]
USERS = [f"u{number}" for number in range(len(HISTORIES))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("shop") / "tuned")


@pytest.fixture(scope="module")
def served(folder):
    return load(folder)


def file_of(folder, kind, users=USERS):
    path = folder / f"histories.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"user": users, "history": HISTORIES}), path)
    elif kind == "jsonl":
        rows = [{"user": user, "history": one} for user, one in zip(users, HISTORIES, strict=True)]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        rows = [f"{user},{' '.join(one)}\n" for user, one in zip(users, HISTORIES, strict=True)]
        path.write_text("user,history\n" + "".join(rows))
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_a_file_is_what_its_histories_are_together(served, tmp_path, kind):
    out = tmp_path / "recs.parquet"
    summary = recommend_file(served, file_of(tmp_path, kind), out, k=3, block=2)
    found, wanted = pq.read_table(out), served.recommend(HISTORIES, k=3)
    assert found["user"].to_pylist() == [USERS[number] for number in wanted["user"].to_pylist()]
    for name in ("item", "rank"):
        assert found[name].to_pylist() == wanted[name].to_pylist()
    assert found["score"].to_pylist() == pytest.approx(wanted["score"].to_pylist(), abs=1e-5)
    assert (summary.histories, summary.without_items, summary.unknown) == (7, 2, 2)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([f"histories.{kind}", "recs.parquet"])


def test_lists_alone_are_histories(served, tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_text('["i1", 7]\n\n["i2"]\n')
    recommend_file(served, path, tmp_path / "recs.parquet", k=2)
    assert pq.read_table(tmp_path / "recs.parquet")["user"].to_pylist() == [0, 0, 1, 1]


def test_a_file_without_histories(served, tmp_path):
    path = tmp_path / "h.csv"
    path.write_text("user,history\n")
    recommend_file(served, path, tmp_path / "recs.parquet")
    assert pq.read_table(tmp_path / "recs.parquet").column_names == ["user", "item", "rank", "score"]


def test_it_goes_on_where_it_was_stopped(served, tmp_path, monkeypatch):
    path, out = file_of(tmp_path, "parquet"), tmp_path / "recs.parquet"
    answer, asked = served.answer, []

    def failing(histories, *rest, **more):
        asked.append(histories)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return answer(histories, *rest, **more)

    monkeypatch.setattr(served, "answer", failing)
    with pytest.raises(KeyboardInterrupt):
        recommend_file(served, path, out, k=3, block=2)
    assert not out.exists()
    summary = recommend_file(served, path, out, k=3, block=2)
    assert summary.resumed == 4
    assert len(asked) == 5
    assert pq.read_table(out)["item"].to_pylist() == served.recommend(HISTORIES, k=3)["item"].to_pylist()
    asked[:] = [None] * 3
    again = recommend_file(served, path, out, k=2, block=2, overwrite=True)
    assert again.resumed == 0


def test_another_job_begins_anew(served, tmp_path, monkeypatch):
    path, out = file_of(tmp_path, "parquet"), tmp_path / "recs.parquet"
    monkeypatch.setattr("missrec_pl.serving.batch._join", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        recommend_file(served, path, out, k=3)
    monkeypatch.undo()
    assert recommend_file(served, path, out, k=2).resumed == 0
    assert max(pq.read_table(out)["rank"].to_pylist()) == 2


def test_what_is_there_stays_unless_told_otherwise(served, tmp_path):
    path, out = file_of(tmp_path, "csv"), tmp_path / "recs.parquet"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        recommend_file(served, path, out)
    assert out.read_text() == "mine"
    with pytest.raises(ConfigError, match=r"are a \.parquet file"):
        recommend_file(served, path, tmp_path / "recs.csv")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("h.txt", "i1", "histories come as .parquet, .jsonl, .csv"),
        ("h.csv", "user,items\n1,i1\n", "has to name the columns, history among them"),
        ("h.csv", b"user,history\n1,\xff\xff\n", "cannot be read"),
        ("h.csv", "history,times\ni1,soon\n", r"h.csv:2: times are whole numbers"),
        ("h.jsonl", '{"history": ["i1"]}\n{"history": ["i1"', r"h.jsonl:2: not valid JSON"),
        ("h.jsonl", "[" * 5000, "nested deeper"),
        ("h.jsonl", '{"user": 1}\n', r"h.jsonl:1: no object with a history"),
        ("h.jsonl", '{"history": "i1"}\n', "is no list of item ids"),
        ("h.jsonl", '{"history": [["i1"]]}\n', "is no list of item ids"),
        ("h.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_files_that_are_none(served, tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=words):
        recommend_file(served, path, tmp_path / "recs.parquet")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_blocks_are_of_the_size_asked_for(tmp_path):
    sizes = [len(block.histories) for block in read_histories(file_of(tmp_path, "parquet"), 3)]
    assert sizes == [3, 3, 1]


def test_one_history_is_printed_with_titles(folder, capsys):
    assert main(["recommend", str(folder), "--history", "i1,nobody,i2", "--k", "3"]) == 0
    said = capsys.readouterr()
    assert "note: item nobody is unknown" in said.err
    lines = said.out.splitlines()
    assert lines[:3] == [f"{'i1':>24}  Title of i1", f"{'i2':>24}  Title of i2", "recommended:"]
    assert [line.split()[0] for line in lines[3:]] == ["1", "2", "3"]
    assert all("Title of" in line for line in lines[3:])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["--user", "7"], "a bundle holds no users"),
        (["--histories", "h.csv"], "go together"),
    ],
)
def test_commands_that_cannot_be(folder, capsys, said, words):
    assert main(["recommend", str(folder), *said]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_command_goes_on(folder, tmp_path):
    path, out = tmp_path / "h.csv", tmp_path / "recs.parquet"
    path.write_text("history\n" + "".join(f"{one} {other}\n" for one in IDS for other in IDS) * 300)
    command = [sys.executable, "-m", "missrec_pl.serving", "recommend", str(folder)]
    command += ["--histories", str(path), "--out", str(out)]
    parts = tmp_path / ".recs.parquet.parts"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:
        start = time.monotonic()
        while not list(parts.glob("*.json"))[1:] and time.monotonic() - start < 100 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "43,200 histories (" in done.stdout
    assert "(0 from an earlier attempt)" not in done.stdout
    assert pq.read_metadata(out).num_rows == 432_000
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_workers_of_ray_rank_as_one_process_does(folder, served, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray.data", reason='needs pip install "missrec-pl[ray]"')
    monkeypatch.setattr(recommend_file, "__kwdefaults__", {**recommend_file.__kwdefaults__, "block": 2})
    path, wanted, out = file_of(tmp_path, "parquet"), tmp_path / "wanted.parquet", tmp_path / "recs.parquet"
    recommend_file(served, path, wanted, k=3)
    words = [
        "recommend",
        str(folder),
        "--histories",
        str(path),
        "--k",
        "3",
        "--engine",
        "ray",
        "--ray-workers",
        "2",
    ]
    join = "missrec_pl.serving.batch._join"
    with monkeypatch.context() as patch:
        patch.setattr(join, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            main([*words, "--out", str(out)])
    parts = sorted((tmp_path / ".recs.parquet.parts").glob("*.parquet"))
    assert len(parts) == 4
    parts[1].unlink()  # as if it had been killed before that one
    assert main([*words, "--out", str(out)]) == 0
    assert "(5 from an earlier attempt)" in capsys.readouterr().out
    assert out.read_bytes() == wanted.read_bytes()


def test_ray_ranks_files_by_bundles(folder, capsys):
    assert main(["recommend", str(folder), "--history", "i1", "--ray-workers", "2"]) == 2
    assert "goes with --engine ray" in capsys.readouterr().err
    if importlib.util.find_spec("ray") is None:
        assert main(["recommend", str(folder), "--history", "i1", "--engine", "ray"]) == 2
        assert "'.[ray]'" in capsys.readouterr().err
