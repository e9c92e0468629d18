"""The KeOps backend. Each (width, list length) compiles for seconds once: few occur here."""

import os

import pytest
import torch
from clustering_oracle import assert_identical, make_tokens, problems, run
from hypothesis import given, settings

from missrec_pl.clustering import dpc_knn
from missrec_pl.clustering.backends import keops
from missrec_pl.errors import ConfigError

needs_compiler = pytest.mark.skipif(bool(keops.missing_compiler()), reason=keops.missing_compiler())


def assert_agrees(problem) -> None:
    result = run(problem, "keops", prototype="mean")
    assert result.backend == "keops"
    assert_identical(result, run(problem, "dense", prototype="mean"))


@needs_compiler
@settings(max_examples=40, deadline=None)
@given(problems(widths=(16,), most_neighbors=9))
def test_keops_equals_dense(problem):
    assert_agrees(problem)


@needs_compiler
@pytest.mark.slow
def test_keops_past_its_chunked_dimensions():
    """KeOps sums over the dimensions in chunks, by other code, past about 64 of them."""
    assert_agrees((make_tokens("clustered", 200, 300, seed=1), 20, 5, False, False))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 100])
def test_keops_at_more_widths(width):
    assert_agrees((make_tokens("clustered", 300, width, seed=2), 20, 5, False, False))


@needs_compiler
@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(problems(widths=(16,)))
def test_keops_with_any_number_of_neighbors(problem):
    assert_agrees(problem)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "clustered", "duplicated", "low_rank"])
def test_keops_on_thousands_of_tokens(kind):
    assert_agrees((make_tokens(kind, 2500, 16, seed=5), 60, 9, False, False))


@needs_compiler
@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(problems(largest=3000, widths=(16,)))
def test_keops_up_to_3000_tokens(problem):
    assert_agrees(problem)


@needs_compiler
@pytest.mark.slow
def test_keops_does_not_chatter(capfd):
    dpc_knn(make_tokens("random", 50, 16, seed=1), 3, 4, backend="keops")
    assert capfd.readouterr() == ("", "")


def test_without_a_compiler_the_other_backend_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler found.*choose backend=tiled"):
        dpc_knn(torch.randn(10, 16), 2, 2, backend="keops")
