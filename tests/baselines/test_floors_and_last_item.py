import numpy as np
import pytest
import torch
from small_domain import block, dense_ranks, fitted, make_data

from missrec_pl.baselines import BaselineData, base, content
from missrec_pl.baselines.scores import as_scores


def scores_of(name, lists):
    return fitted(name).scores(block(lists)).values


def ranks_of(name, lists, targets, **options):
    histories = block(lists)
    return as_scores(fitted(name, **options).scores(histories)).ranks(histories, np.array(targets) - 1)


def test_popularity_counts_training_interactions():
    assert scores_of("popularity", [[1], [4, 5]]).tolist() == [1, 3, 2, 0, 0]


def test_popularity_ranks_count_ties_half_and_leave_the_history_out():
    ranks = ranks_of("popularity", [[2, 3], [2, 3], [4]], [1, 2, 5])
    assert ranks.included.tolist() == [3, 1, 4.5]
    assert ranks.excluded.tolist() == [1, np.inf, 4]  # the second target repeats an item: a miss


def test_text_knn_scores_by_cosine_with_the_last_item_and_puts_missing_lowest():
    cosine = 0.5**0.5
    scores = scores_of("text_knn", [[3, 1], [3]])
    assert scores[0].tolist() == pytest.approx([1, 1, cosine, -2, -1])
    assert scores[1].tolist() == pytest.approx([cosine, cosine, 1, -2, -cosine])


def test_text_knn_falls_back_to_the_last_item_that_has_text():
    assert torch.equal(scores_of("text_knn", [[5, 3, 4, 4]]), scores_of("text_knn", [[3]]))


def test_text_knn_of_a_history_without_text_prefers_nothing():
    assert scores_of("text_knn", [[4], [1]])[0].tolist() == [0, 0, 0, -2, 0]


def test_identical_features_tie_exactly_at_any_block_size():
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, 40, 300)
    features = np.concatenate([np.zeros((1, 96)), generator.normal(size=(40, 96))[kinds]]).astype(np.float32)
    present = np.arange(301) > 0
    data = BaselineData(np.array([1]), np.array([0, 1]), 300, {"text": features}, {"text": present})
    first_of_kind = torch.from_numpy(np.unique(kinds, return_index=True)[1][kinds])
    for rows in (1, 3, 64):
        scores = fitted("text_knn", data).scores(block([[row + 1] for row in range(rows)], 300)).values
        assert torch.equal(scores, scores[:, first_of_kind])


def test_in_a_large_catalogue_the_nearest_items_of_the_last_one_keep_their_order(monkeypatch):
    monkeypatch.setattr(base, "LARGE_CATALOGUE", 4)
    histories = block([[3, 1], [3], [4]])
    assert make_data().is_large
    sparse = fitted("text_knn").scores(histories)
    values = sparse.as_matrix(np.float32(1)).toarray()
    cosine = 0.5**0.5
    assert values[0] == pytest.approx([1, 1, cosine, 0, 0], abs=1e-6)
    assert values[1] == pytest.approx([cosine, cosine, 1, 0, 0], abs=1e-6)
    assert values[2].tolist() == [0] * 5


def test_distinct_rows_are_found_by_content():
    representatives, inverse = content._distinct_rows(np.array([[0.0, 1], [2, 3], [0, 1], [2, 3], [4, 5]]))
    assert representatives.tolist() == [0, 1, 4]
    assert inverse.tolist() == [0, 1, 0, 1, 2]


def test_random_is_deterministic_by_row_and_seed():
    together = ranks_of("random", [[1, 2], [3], [1, 2, 3], [2, 1]], [4] * 4)
    assert ranks_of("random", [[3]], [4]).included == together.included[1]
    everything = [ranks_of("random", [[1, 2]], [4], seed=seed).included[0] for seed in range(20)]
    assert len(set(everything)) == 5
    by_order = [ranks_of("random", [[1, 2], [2, 1]], [4, 4], seed=seed).included for seed in range(20)]
    assert any(first != second for first, second in by_order)


def test_random_ranks_are_uniform_under_both_protocols():
    random = np.random.default_rng(0)
    lists = [random.integers(1, 201, size=30) for _ in range(4000)]
    histories = block(lists, 200)
    baseline = fitted("random", BaselineData(np.array([1]), np.array([0, 1]), 200))
    columns = np.array([one[0] - 1 if row % 2 else 199 for row, one in enumerate(lists)])
    ranks = baseline.scores(histories).ranks(histories, columns)
    sizes = 200 - np.array([len(set(one) - {column + 1}) for one, column in zip(lists, columns, strict=True)])
    assert ranks.included.min() == 1
    assert ranks.included.max() == 200
    assert (ranks.excluded <= sizes).all()
    assert ranks.included.mean() == pytest.approx(100.5, abs=5)  # 5.5 standard errors
    assert (ranks.excluded / sizes).mean() == pytest.approx(0.5, abs=0.026)
    assert (ranks.included <= 20).mean() == pytest.approx(0.1, abs=0.026)
    above = ranks.included - ranks.excluded
    assert (above >= 0).all()
    assert (above <= 200 - sizes).all()
    # Given the target's place, the history's items fall above it in proportion.
    high, low = ranks.excluded < 0.2 * sizes, ranks.excluded > 0.8 * sizes
    assert (above / (200 - sizes))[high].mean() == pytest.approx(0.1, abs=0.03)
    assert (above / (200 - sizes))[low].mean() == pytest.approx(0.9, abs=0.03)


def test_dense_scores_of_a_tensor_rank_as_the_models_scores_do():
    histories = block([[1, 2], [3, 3], [5]])
    values = torch.tensor([[0.5, 1, 1, 0, 2], [0, 0, 0, 0, 0], [1, 2, 3, 4, 5]])
    columns = np.array([2, 2, 4])
    ranks = as_scores(values).ranks(histories, columns)
    included, excluded = dense_ranks(values, histories, columns)
    assert ranks.included.tolist() == included.tolist()
    assert ranks.excluded.tolist() == excluded.tolist()
