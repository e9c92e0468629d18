from pathlib import Path

import numpy as np
import pytest

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.synthetic import SyntheticDomains
from missrec_pl.errors import ConfigError, DataError


def test_default_domains(tmp_path: Path) -> None:
    source = SyntheticDomains(tmp_path)
    with pytest.raises(DataError, match="not prepared"):
        source.paths()
    source.prepare()
    domains = [Domain.open(path, verify=True) for path in source.paths()]
    assert [domain.name for domain in domains] == ["synthetic_0", "synthetic_1", "synthetic_2"]
    for domain in domains:
        assert (domain.num_users, domain.num_items) == (200, 120)
        assert {name: info.dim for name, info in domain.modalities.items()} == {"text": 24, "image": 16}
        assert list(domain.views) == ["text_worddrop"]
        assert 0.45 < domain.modalities["image"].coverage < 0.75
        lengths = domain.sequences.lengths()
        assert (lengths.min(), lengths.max()) == (4, 15)
        assert domain.sequences.timestamps is not None
        assert all(len(set(domain.sequences.of(user))) == lengths[user] for user in range(200))
    assert len({domain.fingerprint for domain in domains}) == 3


def test_a_domain_depends_on_seed_and_number_only(tmp_path: Path) -> None:
    def fingerprints(cache: str, **settings: int) -> list[str]:
        source = SyntheticDomains(tmp_path / cache, **settings)  # type: ignore[arg-type]
        source.prepare()
        return [Domain.open(path).fingerprint for path in source.paths()]

    three = fingerprints("a", num_domains=3)
    assert fingerprints("b", num_domains=1, first_domain=2) == three[2:]
    assert fingerprints("b", num_domains=3) == three
    assert fingerprints("b", num_domains=1, seed=1) != three[:1]


def test_content_beats_popularity_and_projections_are_shared(tmp_path: Path) -> None:
    source = SyntheticDomains(tmp_path)
    source.prepare()
    for path in source.paths():
        domain = Domain.open(path)
        features = np.asarray(domain.features("text"), np.float64)
        features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
        ends = domain.sequences.offsets[1:] - 1
        last, target = domain.sequences.items[ends - 1], domain.sequences.items[ends]
        popularity = np.bincount(domain.sequences.items, minlength=domain.num_items + 1).astype(float)

        def hit_rate(scores: np.ndarray, target: np.ndarray = target) -> float:
            scores = scores[:, 1:]
            goal = np.take_along_axis(scores, target[:, None] - 1, axis=1)
            return float(((scores > goal).sum(axis=1) < 10).mean())

        by_content = hit_rate(features[last] @ features.T)
        by_popularity = hit_rate(np.repeat(popularity[None], len(last), axis=0))
        assert by_content > 0.3
        assert by_content > 1.7 * by_popularity


def test_further_modalities_and_sizes(tmp_path: Path) -> None:
    source = SyntheticDomains(
        tmp_path,
        num_domains=1,
        num_users=30,
        num_items=50,
        dims={"text": 8, "image": 6, "audio": 4},
        missing={"image": 0.5, "audio": 0.5},
        max_length=6,
    )
    source.prepare()
    domain = Domain.open(source.paths()[0])
    assert {name: info.dim for name, info in domain.modalities.items()} == {"text": 8, "image": 6, "audio": 4}
    assert not np.array_equal(domain.present("image"), domain.present("audio"))
    assert domain.sequences.lengths().max() <= 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_domains": 0}, "num_domains >= 1"),
        ({"min_length": 2}, "3 <= min_length"),
        ({"max_length": 500}, "max_length < num_items"),
        ({"dims": {"image": 4}}, "dims has to name the modality text"),
        ({"missing": {"audio": 0.5}}, r"missing\.audio"),
        ({"num_interests": 1}, "2 <= num_interests"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SyntheticDomains(tmp_path, **settings)  # type: ignore[arg-type]
