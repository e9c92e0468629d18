import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.synthetic.paper_size import PAPER_SHAPES, PaperSizeDomains
from missrec_pl.data.synthetic.paper_size.content import DomainShape, write_paper_sized
from missrec_pl.data.synthetic.paper_size.rings import lengths_of
from missrec_pl.errors import ConfigError, DataError

TINY = 0.0005


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> list[Domain]:
    source = PaperSizeDomains(tmp_path_factory.mktemp("cache"), scale=TINY)
    source.prepare()
    return [Domain.open(path, verify=True) for path in source.paths()]


def test_counts_are_the_papers() -> None:
    counts = [(s.users, s.items, s.interactions, s.images) for s in PAPER_SHAPES]
    users, items, interactions, images = map(sum, zip(*counts, strict=True))
    assert (users, items, interactions) == (1_361_408, 446_975, 14_029_229)
    assert items + images == 541_126
    assert images / items == pytest.approx(0.21, abs=0.005)
    assert interactions / users == pytest.approx(10.3, abs=0.01)
    assert [shape.scaled(1.0) for shape in PAPER_SHAPES] == list(PAPER_SHAPES)


@pytest.mark.parametrize("shape", PAPER_SHAPES, ids=lambda shape: shape.name)
def test_lengths_of_the_full_size_add_up(shape: DomainShape) -> None:
    lengths = lengths_of(shape.users, shape.interactions, np.random.default_rng(0))
    assert len(lengths) == shape.users
    assert lengths.sum(dtype=np.int64) == shape.interactions
    assert (lengths.min(), lengths.max()) == (5, 50)
    counts = np.bincount(lengths)[5:]
    assert (np.diff(counts)[:-1] < 0).all()  # long sequences are rarer
    assert counts[-1] > 20


@pytest.mark.parametrize(("users", "interactions"), [(16, 80), (16, 800), (17, 143), (3, 100)])
def test_lengths_of_few_users_add_up(users: int, interactions: int) -> None:
    lengths = lengths_of(users, interactions, np.random.default_rng(0))
    assert (len(lengths), lengths.sum()) == (users, interactions)
    assert 5 <= lengths.min() <= lengths.max() <= 50


def test_tiny_domains_are_whole(domains: list[Domain]) -> None:
    for shape, domain in zip(PAPER_SHAPES, domains, strict=True):
        scaled = shape.scaled(TINY)
        found = (domain.name, domain.num_users, domain.num_items, domain.manifest.interactions)
        assert found == (shape.name, scaled.users, scaled.items, scaled.interactions)
        assert list(domain.modalities) == (["text", "image"] if shape.images else ["text"])
        assert {(info.dim, info.dtype) for info in domain.modalities.values()} == {(512, "float16")}
        assert domain.present("text")[1:].all()
        assert not shape.images or domain.present("image").sum() == scaled.images
        assert all(domain.texts()[1:])
        assert len(set(domain.raw_user_ids())) == domain.num_users
        assert domain.sequences.timestamps is not None
    assert [domain.name for domain in domains if "image" not in domain.modalities] == ["kindle_sized"]


def test_the_next_item_is_near_the_last_ones(tmp_path: Path) -> None:
    domain = Domain.open(write_paper_sized(tmp_path, 0, DomainShape("near", 400, 2000, 4000, 0), seed=0))
    rows = np.array(domain.features("text"), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-6)
    items, starts = domain.sequences.items, domain.sequences.offsets[1:-1]
    following = np.delete((rows[items[1:]] * rows[items[:-1]]).sum(1), starts - 1)
    others = (rows[items] * rows[np.random.default_rng(0).permutation(items)]).sum(1)
    assert (following > 0.8).mean() > 0.6
    assert (others > 0.8).mean() < 0.05


def test_same_seed_same_bytes_for_any_block_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("missrec_pl.data.domain.writer._STREAMED_ROW_GROUP", 2000)
    shape = DomainShape("blocks", users=9000, items=5000, interactions=80_000, images=900)

    def fingerprint(name: str, number: int = 0, seed: int = 0, block_rows: int = 8192) -> str:
        path = write_paper_sized(tmp_path / name, number, shape, seed, block_rows=block_rows)
        return Domain.open(path).fingerprint

    first = fingerprint("a")
    assert fingerprint("b") == first
    assert fingerprint("c", block_rows=1000) == first
    assert fingerprint("d", block_rows=4097) == first
    assert len({first, fingerprint("e", seed=1), fingerprint("f", number=1)}) == 3


def test_domains_are_made_once_for_each_scale_and_seed(tmp_path: Path, domains: list[Domain]) -> None:
    source = PaperSizeDomains(tmp_path, scale=TINY)
    with pytest.raises(DataError, match="not prepared"):
        source.paths()
    source.prepare()
    assert [Domain.open(path).fingerprint for path in source.paths()] == [d.fingerprint for d in domains]
    made = [(path / "domain.json").stat().st_mtime_ns for path in source.paths()]
    source.prepare()
    assert [(path / "domain.json").stat().st_mtime_ns for path in source.paths()] == made
    for other in (PaperSizeDomains(tmp_path, scale=TINY, seed=1), PaperSizeDomains(tmp_path, scale=2 * TINY)):
        with pytest.raises(DataError, match="not prepared"):
            other.paths()


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_impossible_scales_and_seeds_are_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.scale"):
        PaperSizeDomains(tmp_path, scale=scale)
    with pytest.raises(ConfigError, match=r"data\.source\.seed"):
        PaperSizeDomains(tmp_path, seed=-1)


_PEAK = """
import sys
from pathlib import Path
from missrec_pl.data.synthetic.paper_size.content import DomainShape, write_paper_sized

def peak():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) // 1024

write_paper_sized(Path(sys.argv[1]), 0, DomainShape("warm", 9000, 9000, 80_000, 0), 0)
before = peak()
write_paper_sized(Path(sys.argv[1]), 0, DomainShape("large", 150_000, 60_000, 1_500_000, 20_000), 0)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """A small domain already takes the largest blocks; a large one adds ids, a row group, a few bytes per item."""
    run = subprocess.run([sys.executable, "-c", _PEAK, str(tmp_path)], capture_output=True, text=True, check=True)
    written = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) / 2**20
    assert written > 130
    assert int(run.stdout) < 64
