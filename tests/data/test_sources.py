import multiprocessing
import os
from pathlib import Path

import pytest
from released_maker import random_sequences, write_released

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.released import domain as released_domain
from missrec_pl.data.sources import DomainFolders, DomainSource, ReleasedFolder
from missrec_pl.data.synthetic import SyntheticDomains
from missrec_pl.errors import DataError


@pytest.fixture
def released(tmp_path: Path) -> Path:
    return write_released(tmp_path / "Toys", random_sequences())


def test_conversion_happens_once(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ReleasedFolder(released, tmp_path / "cache")
    with pytest.raises(DataError, match="Toys is not prepared"):
        source.paths()
    source.prepare()
    (path,) = source.paths()
    assert Domain.open(path, verify=True).name == "Toys"

    def explode(*_: object, **__: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(released_domain, "reconstruct", explode)
    again = ReleasedFolder(released, tmp_path / "cache")
    again.prepare()
    assert again.paths() == [path]


def test_a_changed_source_is_converted_again(released: Path, tmp_path: Path) -> None:
    source = ReleasedFolder(str(released), str(tmp_path / "cache"))
    source.prepare()
    (before,) = source.paths()
    text = released / "Toys.text"
    text.write_text(text.read_text().replace("nice", "good"))
    os.utime(text, ns=(1, 1))
    with pytest.raises(DataError, match="not prepared"):
        source.paths()
    source.prepare()
    (after,) = source.paths()
    assert before != after
    assert Domain.open(after).texts()[1] == 'a "good" thing 0'


def test_a_failed_conversion_leaves_nothing(released: Path, tmp_path: Path) -> None:
    (released / "Toys.feat1CLS").write_bytes(b"123")
    source = ReleasedFolder(released, tmp_path / "cache")
    with pytest.raises(DataError, match="feat1CLS"):
        source.prepare()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".Toys.lock"]


def test_leftovers_of_killed_processes_are_removed(released: Path, tmp_path: Path) -> None:
    source = ReleasedFolder(released, tmp_path / "cache")
    source.prepare()
    (path,) = source.paths()
    leftover = path.parent.with_name(f".{path.parent.name}.tmp-1-dead")
    path.parent.rename(leftover)
    source.prepare()
    assert source.paths() == [path]
    assert not leftover.exists()


def _prepare(released: Path, cache: Path, barrier, results) -> None:  # type: ignore[no-untyped-def]
    source = ReleasedFolder(released, cache)
    synthetic = SyntheticDomains(cache, num_domains=1)
    barrier.wait()
    source.prepare()
    synthetic.prepare()
    paths = [*source.paths(), *synthetic.paths()]
    results.put([(str(path), path.stat().st_ino, Domain.open(path, verify=True).fingerprint) for path in paths])


def test_two_processes_prepare_one_set(released: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (released, tmp_path / "cache", barrier, results)
    processes = [context.Process(target=_prepare, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=240) for _ in processes]
    for process in processes:
        process.join(timeout=240)
        assert process.exitcode == 0
    assert found[0] == found[1]
    folders = [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert len(folders) == 2


def test_domain_folders_are_sources_too(released: Path, tmp_path: Path) -> None:
    source = ReleasedFolder(released, tmp_path / "cache")
    source.prepare()
    folder = DomainFolders(["Toys"], source.paths()[0].parent)
    folder.prepare()
    assert folder.paths() == source.paths()
    assert folder.name == "Toys"
    assert all(isinstance(one, DomainSource) for one in (source, folder, SyntheticDomains(tmp_path)))
    with pytest.raises(DataError, match="no domain folder"):
        DomainFolders(["nothing"], tmp_path).prepare()
    with pytest.raises(DataError, match="no released folder"):
        ReleasedFolder(tmp_path / "nothing", tmp_path).prepare()
