"""k-means, random prototypes, nearest prototypes, and counts given as ratios."""

import pytest
import torch
from clustering_oracle import make_tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from missrec_pl.clustering import kmeans, nearest_prototype, random_prototypes, resolve_count
from missrec_pl.errors import ConfigError, DataError

KINDS = ("random", "clustered", "duplicated", "identical", "grid", "low_rank")


def assert_nearest(tokens, result) -> None:
    squared = (tokens[:, None].double() - result.prototypes.double()).square().sum(-1)
    chosen = squared.gather(1, result.assignment[:, None])[:, 0]
    torch.testing.assert_close(chosen, squared.amin(1), rtol=1e-4, atol=1e-3)
    assert result.inertia == pytest.approx(float(chosen.sum()), rel=1e-3, abs=1e-2)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 200), st.data())
def test_every_token_is_at_its_nearest_prototype(kind, total, data):
    tokens = make_tokens(kind, total, 5, seed=total)
    before = tokens.clone()
    num_clusters = data.draw(st.integers(1, total))
    for init in ("k-means++", "random"):
        result = kmeans(tokens, num_clusters, init=init, max_iterations=20)
        assert result.prototypes.shape == (num_clusters, 5)
        assert_nearest(tokens, result)
    assert_nearest(tokens, random_prototypes(tokens, num_clusters))
    assert torch.equal(tokens, before)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_kmeans_finds_clusters_that_are_far_apart(init):
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(400) % 4
    tokens = 100 * torch.eye(4)[label] + torch.randn(400, 4, generator=generator)
    results = [kmeans(tokens, 4, seed=seed, init=init) for seed in range(5)]
    best = min(results, key=lambda result: result.inertia)
    assert best.converged
    assert all(len(set(best.assignment[label == group].tolist())) == 1 for group in range(4))
    for cluster in range(4):
        mean = tokens[best.assignment == cluster].mean(0)
        torch.testing.assert_close(best.prototypes[cluster], mean, rtol=1e-3, atol=1e-2)


def test_kmeans_only_gets_better():
    tokens = make_tokens("random", 500, 8, seed=1)
    inertia = [kmeans(tokens, 20, max_iterations=steps, tolerance=0.0).inertia for steps in (1, 2, 4, 8, 16, 64)]
    assert inertia == sorted(inertia, reverse=True)
    assert inertia[-1] < 0.95 * inertia[0]
    assert kmeans(tokens, 20, max_iterations=200, tolerance=0.0).converged


def test_kmeans_fills_empty_clusters():
    """A random start on copies leaves clusters empty; all distinct places must end up with a prototype."""
    tokens = torch.cat([torch.zeros(97, 2), torch.tensor([[9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])])
    result = kmeans(tokens, 4, init="random", max_iterations=10)
    assert result.inertia == 0.0
    assert len(result.assignment.unique()) == 4


def test_draws_depend_on_the_seed_alone():
    tokens = make_tokens("random", 300, 4, seed=2)
    assert torch.equal(kmeans(tokens, 9, seed=3).prototypes, kmeans(tokens, 9, seed=3).prototypes)
    assert not torch.equal(kmeans(tokens, 9, seed=3).prototypes, kmeans(tokens, 9, seed=4).prototypes)
    first, second = (random_prototypes(tokens, 9, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first.prototypes, second.prototypes)
    other = random_prototypes(tokens, 9, torch.Generator().manual_seed(8))
    assert not torch.equal(first.prototypes, other.prototypes)


def test_random_prototypes_are_distinct_tokens():
    tokens = torch.arange(50.0)[:, None]
    result = random_prototypes(tokens, 50)
    assert sorted(result.prototypes[:, 0].tolist()) == list(range(50))
    assert result.inertia == 0.0


def test_nearest_prototype_far_from_the_origin():
    tokens = 1000 + make_tokens("random", 200, 16, seed=3)
    index, squared = nearest_prototype(tokens, tokens[:7])
    exact = torch.cdist(tokens.double(), tokens[:7].double()).square()
    assert torch.equal(index, exact.argmin(1))
    torch.testing.assert_close(squared.double(), exact.amin(1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("value", "total", "count"),
    [
        (1, 1, 1),
        (7, 9, 7),
        (0.1, 120, 12),
        (0.1, 121, 13),
        (0.07, 100, 7),
        (1.0, 5, 5),
        (1e-9, 5, 1),
        (0.5, 1, 1),
    ],
)
def test_resolve_count(value, total, count):
    assert resolve_count(value, total) == count


@pytest.mark.parametrize(
    ("value", "total", "message"),
    [
        (0, 5, "count 0 is outside 1..5"),
        (6, 5, "count 6 is outside 1..5"),
        (-1, 5, "count -1"),
        (0.0, 5, r"ratio 0.0 is outside \(0, 1\]"),
        (1.5, 5, "without a decimal point"),
        (float("nan"), 5, "ratio nan"),
        (True, 5, "neither a count"),
        (1, 0, "cannot take 1 of 0"),
    ],
)
def test_resolve_count_refuses(value, total, message):
    with pytest.raises(ConfigError, match=message):
        resolve_count(value, total)


def test_bad_input_is_refused(plain_types):
    tokens = torch.zeros(5, 2)
    for method in (kmeans, random_prototypes):
        with pytest.raises(ConfigError, match=r"num_clusters=6 is outside 1\.\.5"):
            method(tokens, 6)
        with pytest.raises(DataError, match="NaN"):
            method(tokens / 0, 2)
        with pytest.raises(DataError, match=r"shape \(5,\)"):
            plain_types(method)(tokens[:, 0], 2)
    with pytest.raises(ConfigError, match="max_iterations"):
        kmeans(tokens, 2, max_iterations=0)
    with pytest.raises(ConfigError, match="choose k-means"):
        plain_types(kmeans)(tokens, 2, init="best")
