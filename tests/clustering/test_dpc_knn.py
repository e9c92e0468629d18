"""dpc_knn against a plain numpy DPC-KNN, on every backend but KeOps (test_keops.py)."""

import logging

import numpy as np
import pytest
import torch
from clustering_oracle import assert_identical, make_tokens, plain_dpc_knn, problems, run
from hypothesis import given, settings

from missrec_pl.clustering import DPCKNNResult, backends, dpc_knn
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.system.processes import Share

ALONE = Share()


def assert_equals_plain(result: DPCKNNResult, problem) -> None:
    tokens, num_clusters, k, include_self, scaled = problem
    expected = plain_dpc_knn(tokens.numpy(), num_clusters, k, include_self, scaled)
    np.testing.assert_allclose(result.log_density, expected.log_density, rtol=1e-6, atol=1e-30)
    # Sums in another order split exact ties of density: compare what follows where the order is not rounding.
    gaps = np.diff(np.sort(expected.log_density))
    if len(tokens) > 1 and gaps.min() <= 1e-12 * np.abs(expected.log_density).max():
        return
    np.testing.assert_allclose(result.delta, expected.delta, rtol=1e-5)
    scores = np.sort(expected.log_score)[::-1]
    if (np.abs(np.diff(scores)) > 1e-12 * np.abs(scores[1:])).all():
        np.testing.assert_array_equal(result.centers, expected.centers)
        np.testing.assert_array_equal(result.assignment, expected.assignment)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_dense_equals_the_plain_form(problem):
    assert_equals_plain(run(problem, "dense"), problem)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_tiled_equals_dense(problem):
    result = run(problem, "tiled", prototype="mean")
    assert_identical(result, run(problem, "dense", prototype="mean"))
    assert_equals_plain(result, problem)


@settings(max_examples=12, deadline=None)
@given(problems(largest=3000, widths=(2, 24)))
def test_tiled_equals_dense_up_to_3000_tokens(problem):
    """With up to 2,999 neighbours and 3,000 centres."""
    assert_identical(run(problem, "tiled"), run(problem, "dense"))


@settings(max_examples=40, deadline=None)
@given(problems(most_neighbors=20))
def test_small_tiles_change_nothing(problem):
    """With blocks of 64 a few hundred tokens use the running lists as 65,536 do with blocks of 2,048."""
    tokens, _, k, _, _ = problem
    if len(tokens) == 1:
        return
    k = min(k, len(tokens) - 1)
    small, whole = TiledReductions(tokens, tile=64), TiledReductions(tokens)
    assert torch.equal(small.k_smallest(k, ALONE).squared_distance, whole.k_smallest(k, ALONE).squared_distance)
    assert small.largest(ALONE) == pytest.approx(whole.largest(ALONE), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "total"),
    [("random", 3000), ("clustered", 2500), ("duplicated", 1200), ("low_rank", 1200), ("far", 1200)],
)
def test_thousands_of_tokens(kind, total):
    problem = (make_tokens(kind, total, 24, seed=5), 60, 12, False, False)
    result = run(problem, "tiled")
    assert_equals_plain(result, problem)
    assert_identical(result, run(problem, "dense"))


def test_all_neighbors_and_all_centers_of_thousands():
    problem = (make_tokens("random", 2100, 8, seed=6), 2100, 2099, False, False)
    result = run(problem, "tiled")
    assert_equals_plain(result, problem)
    assert torch.equal(result.assignment[result.centers], torch.arange(2100))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_result_keeps_its_promises(problem):
    tokens, num_clusters, *_ = problem
    before = tokens.clone()
    result = run(problem, "auto", prototype="mean")
    assert torch.equal(tokens, before)
    assert result.backend == "tiled"
    torch.testing.assert_close(result.density, result.log_density.exp(), rtol=1e-4, atol=0.0)
    assert len(set(result.centers.tolist())) == num_clusters
    assert torch.equal(result.assignment[result.centers], torch.arange(num_clusters))
    assert result.delta.amax() <= torch.cdist(tokens, tokens).amax() * 1.01 + 1e-3 * tokens.abs().amax()
    for cluster in {0, num_clusters - 1}:
        mean = tokens[result.assignment == cluster].double().mean(0)
        torch.testing.assert_close(result.prototypes[cluster].double(), mean, rtol=1e-5, atol=1e-5)


def test_densities_below_float32_still_order_the_centers():
    tokens = 30 * make_tokens("clustered", 200, 64, seed=1) + 30 * make_tokens("random", 200, 64, seed=2)
    result = run((tokens, 20, 5, False, False), "tiled")
    assert (result.density == 0).all()
    expected = plain_dpc_knn(tokens.numpy(), 20, 5, False, False)
    np.testing.assert_array_equal(result.centers, expected.centers)


def test_ties_go_to_the_lower_index():
    tokens = torch.tensor([[0.0], [1.0], [5.0], [6.0]])
    result = dpc_knn(tokens, 2, 1)
    assert result.log_density.tolist() == [-1.0] * 4
    assert result.delta.tolist() == [6.0, 1.0, 4.0, 1.0]
    assert result.centers.tolist() == [0, 2]
    assert dpc_knn(torch.tensor([[0.0], [2.0], [1.0]]), 2, 2).assignment.tolist() == [1, 0, 0]


def test_duplicates_are_one_center_until_nothing_else_is_left():
    tokens = torch.cat([torch.zeros(50, 4), make_tokens("random", 50, 4, seed=3)])
    result = dpc_knn(tokens, 51, 5)
    assert (result.centers < 50).sum() == 1
    assert dpc_knn(tokens, 52, 5).centers[51] == 1
    assert (result.assignment[:50] == result.assignment[0]).all()


def test_one_token():
    result = dpc_knn(torch.tensor([[3.0, 4.0]]), 1, 1)
    assert result.log_density.tolist() == [0.0]
    assert result.centers.tolist() == result.assignment.tolist() == [0]
    assert result.prototypes.tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype):
    tokens = make_tokens("random", 100, 8, seed=4).to(dtype)
    result = dpc_knn(tokens, 5, 4)
    expected = plain_dpc_knn(tokens.double().numpy(), 5, 4, False, False)
    np.testing.assert_array_equal(result.centers, expected.centers)
    assert result.prototypes.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_precision_settings_of_the_caller_are_overruled_and_restored():
    tokens = make_tokens("far", 300, 32, seed=9)
    plain = dpc_knn(tokens, 20, 5)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lowered = dpc_knn(tokens.requires_grad_(), 20, 5)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert_identical(plain, lowered)
    assert not lowered.prototypes.requires_grad


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_extreme_units_do_not_change_the_neighbors(scale):
    tokens = make_tokens("random", 200, 16, seed=8)
    wanted = TiledReductions(tokens).k_smallest(5, ALONE)
    found = TiledReductions(tokens * scale).k_smallest(5, ALONE)
    assert torch.equal(found.token, wanted.token)


def test_auto_says_what_it_chose_and_why(caplog):
    with caplog.at_level(logging.INFO, logger="missrec_pl.clustering"):
        dpc_knn(torch.randn(10, 2), 2, 2)
    assert "backend tiled (on cpu" in caplog.text


@pytest.mark.parametrize(
    ("device", "width", "expected"),
    [
        ("cpu", 16, "tiled"),
        ("cpu", 300, "tiled"),
        ("mps", 300, "tiled"),
        ("cuda", 65, "tiled"),
        ("cuda", 64, "keops"),
    ],
)
def test_auto_takes_what_was_measured_for_device_and_width(device, width, expected):
    name, reason = backends.resolve(device, width)
    assert name == expected
    assert f"on {device}" in reason


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((torch.zeros(5, 2), 6, 1), {}, "num_clusters=6 is outside 1..5"),
        ((torch.zeros(5, 2), 0, 1), {}, "num_clusters=0"),
        ((torch.zeros(5, 2), 1, 0), {}, "k=0 is outside 1..4"),
        ((torch.zeros(5, 2), 1, 5), {}, "k=5 is outside 1..4"),
        ((torch.zeros(5, 2), 1, 6), {"include_self": True}, "k=6 is outside 1..5"),
        ((torch.zeros(5, 2), 1, 1), {"backend": "tile"}, "choose one of auto, keops, tiled, dense"),
        ((torch.zeros(5, 2), 1, 1), {"distance_scale": "dim"}, "choose none or sqrt_dim"),
        ((torch.zeros(5, 2), 1, 1), {"prototype": "median"}, "choose center or mean"),
        ((torch.zeros(5, 2), 1, 1), {"top_delta": "smallest"}, "choose largest or own"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bad_options_are_refused(arguments, options, message, plain_types):
    with pytest.raises(ConfigError, match=message):
        plain_types(dpc_knn)(*arguments, **options)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.zeros(4), r"shape \(4,\)"),
        (torch.zeros(0, 3), r"shape \(0, 3\)"),
        (torch.zeros(3, 0), r"shape \(3, 0\)"),
        (torch.zeros(4, 3, dtype=torch.int64), "int64"),
        (
            torch.tensor([[0.0], [torch.nan], [torch.inf]]),
            "2 of 3 tokens hold NaN or infinity, the first is row 1",
        ),
    ],
)
def test_bad_tokens_are_refused(tokens, message, plain_types):
    with pytest.raises(DataError, match=message):
        plain_types(dpc_knn)(tokens, 1, 1)
