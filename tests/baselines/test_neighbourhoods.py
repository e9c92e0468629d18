"""Content, co-occurrence, EASE and the hybrid against plain dense references."""

import numpy as np
import pytest
from small_domain import (
    block,
    dense_content,
    dense_cooccurrence,
    dense_ease,
    dense_weights,
    fitted,
    make_data,
    random_data,
    random_held_out,
)

from missrec_pl.baselines import BaselineData, LeftOutError, base, ease
from missrec_pl.baselines.cooccurrence import cooccurrences
from missrec_pl.baselines.scores import as_scores


def scores_of(baseline, histories, settings):
    scores = baseline.scores_with(histories, settings)
    if hasattr(scores, "layout"):
        return scores.as_matrix(np.float32(1)).toarray()
    everything = np.zeros((len(histories), histories.num_items), dtype=np.float32)
    everything[:, scores.columns] = scores.values.numpy()
    return everything


@pytest.fixture(params=range(3))
def domain(request):
    data = random_data(request.param)
    histories, _ = random_held_out(data, request.param + 10).block(0, 40, data.num_items)
    return data, histories


def test_content_on_a_case_worked_by_hand():
    """Centred text: 1 and 2 to the right, 5 to the left, 3 right and up; 4 has none and takes no part."""
    data = make_data(modalities=("text",))
    values = scores_of(
        fitted("content_knn", data), block([[1], [4], [1, 4], [1, 1]]), {"whitening": 0, "decay": 0.5}
    )
    rows = np.array([[1, 0], [2, 0], [1, 1], [-1, 0]], dtype=np.float64)
    rows -= rows.mean(0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = np.maximum(rows @ rows[0], 0)
    expected = np.array([0, cosines[1], cosines[2], 0, cosines[3]])
    assert values[0] == pytest.approx(expected, abs=1e-6)
    assert values[1].tolist() == [0] * 5  # nothing is known of the only item
    assert values[2] == pytest.approx(0.5 * expected, abs=1e-6)
    assert values[3] == pytest.approx(1.5 * expected, abs=1e-6)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_content_is_the_decayed_sum_of_positive_cosines_of_all_modalities(domain, power):
    data, histories = domain
    values = scores_of(fitted("content_knn", data), histories, {"whitening": power, "decay": 0.8})
    assert values == pytest.approx(dense_weights(histories, 0.8) @ dense_content(data, power), abs=2e-5)


def test_an_item_without_a_modality_takes_no_part_in_it(domain):
    data, _ = domain
    baseline = fitted("content_knn", data)
    is_bare = ~(data.present["text"] | data.present["image"])[1:]
    assert is_bare.any()
    similarity = baseline.similarity(0.5).toarray()
    assert not similarity[is_bare].any()
    assert not similarity[:, is_bare].any()
    noisy = {name: features.copy() for name, features in data.features.items()}
    for name, features in noisy.items():
        features[~data.present[name]] = 7  # whatever stands where nothing is known
    changed = BaselineData(data.train_items, data.train_offsets, data.num_items, noisy, data.present)
    assert (fitted("content_knn", changed).similarity(0.5).toarray() == similarity).all()


@pytest.mark.parametrize(("pair_decay", "backward"), [(1.0, 1.0), (0.8, 0.5), (0.6, 0.0)])
def test_cooccurrence_counts_pairs_by_gap_and_direction(domain, pair_decay, backward):
    data, histories = domain
    settings = {"pair_decay": pair_decay, "backward": backward, "decay": 0.6}
    values = scores_of(fitted("cooccurrence_knn", data), histories, settings)
    expected = dense_weights(histories, 0.6) @ dense_cooccurrence(data, pair_decay, backward)
    assert values == pytest.approx(expected, abs=1e-5)


def test_cooccurrence_on_a_case_worked_by_hand():
    """Sequences 1 2 2 3 and 2 3: item 1 stands next to 2 once, then a step further, two steps from 3."""
    values = cooccurrences(make_data(), 0.5, 0.1).toarray()
    assert values[0] == pytest.approx([0, 1.5, 0.25, 0, 0])
    assert values[1] == pytest.approx([0.15 / 3**0.5, 0, 2.5 / 3**0.5, 0, 0])
    assert values[2] == pytest.approx([0.025 / 2**0.5, 0.25 / 2**0.5, 0, 0, 0])
    assert not values[3:].any()


@pytest.mark.parametrize("block_pairs", [1, 50, 700])
def test_cooccurrence_does_not_depend_on_the_blocks_it_is_gathered_in(domain, block_pairs):
    data, _ = domain
    whole = cooccurrences(data, 0.8, 0.5)
    parts = cooccurrences(data, 0.8, 0.5, block_pairs=block_pairs)
    assert (whole != parts).nnz == 0


def test_cooccurrence_keeps_the_strongest_of_long_rows(domain):
    data, _ = domain
    whole = dense_cooccurrence(data, 0.8, 0.5)
    kept = cooccurrences(data, 0.8, 0.5, row_limit=4)
    assert np.diff(kept.indptr).max() == 4
    for row, values in enumerate(kept.toarray()):
        assert np.sort(values)[-4:] == pytest.approx(np.sort(whole[row])[-4:], abs=1e-5)


@pytest.mark.parametrize("penalty", [400.0, 1.0])
def test_ease_is_the_closed_form(domain, penalty):
    data, histories = domain
    values = scores_of(fitted("ease", data), histories, {"lambda": penalty, "decay": 0.6})
    expected = dense_weights(histories, 0.6) @ dense_ease(data, penalty)
    assert values == pytest.approx(expected, abs=1e-5)
    untrained = data.counts() == 0
    assert untrained.any()
    assert not values[:, untrained].any()


def test_ease_is_left_out_beyond_its_limit_and_says_so():
    with pytest.raises(LeftOutError, match=r"3 items in the training parts .* baselines.max_ease_items=2.*3 x 3"):
        fitted("ease", max_ease_items=2)
    fitted("ease", max_ease_items=3)  # items 4 and 5 do not count


def test_ease_tries_one_penalty_where_an_inverse_takes_long(monkeypatch):
    assert {one["lambda"] for one in fitted("ease").grid({})} == {400, 100}
    monkeypatch.setattr(ease, "_ITEMS_OF_SEVERAL_PENALTIES", 2)
    assert [(one["lambda"], one["decay"]) for one in fitted("ease").grid({})] == [(200, 0.6), (200, 0.8)]


def test_hybrid_adds_the_logarithm(domain):
    data, histories = domain
    settings = {
        "content_whitening": 0.5, "content_decay": 0.9,
        "cooccurrence_pair_decay": 0.6, "cooccurrence_backward": 1.0, "cooccurrence_decay": 0.4,
        "weight": 2.0, "gain": 3.0,
    }  # fmt: skip
    values = scores_of(fitted("hybrid_knn", data), histories, settings)
    content = dense_weights(histories, 0.9) @ dense_content(data, 0.5)
    pairs = dense_weights(histories, 0.4) @ dense_cooccurrence(data, 0.6, 1.0)
    assert values == pytest.approx(content + 2 * np.log1p(3 * pairs), abs=1e-4)


def test_hybrid_is_left_out_where_a_part_has_nothing_to_learn_from():
    with pytest.raises(LeftOutError, match="no features"):
        fitted("hybrid_knn", make_data(modalities=()))
    lonely = BaselineData(np.array([1, 2]), np.array([0, 1, 2]), 5, *map(dict, ([], [])))
    with pytest.raises(LeftOutError, match="no training sequence has two items"):
        fitted("cooccurrence_knn", lonely)


@pytest.mark.parametrize("name", ["content_knn", "cooccurrence_knn", "ease", "hybrid_knn", "text_knn"])
def test_a_row_does_not_depend_on_its_block(domain, name):
    data, histories = domain
    baseline = fitted(name, data)
    columns = np.arange(len(histories)) % data.num_items
    together = as_scores(baseline.scores(histories)).ranks(histories, columns)
    for row in range(0, len(histories), 7):
        start, stop = histories.offsets[row], histories.offsets[row + 1]
        alone = block([histories.items[start:stop].tolist()], data.num_items)
        ranks = as_scores(baseline.scores(alone)).ranks(alone, columns[row : row + 1])
        assert ranks.included[0] == together.included[row]
        assert ranks.excluded[0] == together.excluded[row]


def test_what_is_slow_to_build_is_not_varied_in_a_large_catalogue(monkeypatch):
    monkeypatch.setattr(base, "LARGE_CATALOGUE", 10)
    data = random_data()
    assert {one["whitening"] for one in fitted("content_knn", data).grid({})} == {0.5}
    grid = fitted("cooccurrence_knn", data).grid({})
    assert len({(one["pair_decay"], one["backward"]) for one in grid}) == 1
    assert len(grid) > 1


def test_features_that_are_not_finite_are_refused():
    data = random_data()
    item = int(np.flatnonzero(data.present["text"])[3])
    data.features["text"][item, 2] = np.nan
    with pytest.raises(Exception, match=f"item {item} hold NaN"):
        fitted("content_knn", data)
