"""Boosted trees over the statistics of the other baselines."""

import numpy as np
import pytest
from small_domain import random_data, random_held_out

from missrec_pl.baselines import Context, available, evaluate_baselines
from missrec_pl.errors import ConfigError
from missrec_pl.fitting.words import word_similarity

pytest.importorskip("lightgbm", reason="extra `trees` is not installed")


@pytest.fixture(scope="module")
def scene():
    data = random_data(4, users=200)
    data.texts = lambda: ["", *(f"word{item % 5} word{item % 3} item" for item in range(data.num_items))]
    return data, random_held_out(data, 5, 120), random_held_out(data, 6, 50)


def test_it_runs_where_it_is_named(scene):
    data, validation, test = scene
    assert "lambdamart" not in available(data)
    report = evaluate_baselines(
        data, test, validation=validation, names=["popularity", "lambdamart"], keep_ranks=True
    )
    assert list(report.included) == ["popularity", "lambdamart"]
    assert report.ranks["lambdamart"].included.shape == (50,)
    again = evaluate_baselines(data, test, validation=validation, names=["lambdamart"])
    assert again.included["lambdamart"] == report.included["lambdamart"]


def test_without_validation_users_it_is_left_out(scene):
    data, _, test = scene
    report = evaluate_baselines(data, test, names=["popularity", "lambdamart"])
    assert report.left_out == {"lambdamart": "there are no validation targets to learn from"}


def test_the_history_stands_behind_the_nominees_and_test_targets_change_no_score(scene):
    data, validation, test = scene
    baseline = Context(data).get("lambdamart")
    baseline.fit(data)
    baseline.learn(validation)
    histories, _ = test.block(0, len(test), data.num_items)
    scores = baseline.scores(histories).as_matrix(np.float32(1)).toarray()
    seen = histories.rivals(np.full(len(histories), -1)).toarray() > 0
    assert (scores[seen] == 0).all()
    assert (scores >= 0).all()
    assert (scores > 0).any(axis=1).all()
    # Each row from itself alone.
    alone, _ = test.block(7, 8, data.num_items)
    order = np.argsort(-baseline.scores(alone).as_matrix(np.float32(1)).toarray()[0], kind="stable")
    assert order[:5].tolist() == np.argsort(-scores[7], kind="stable")[:5].tolist()


def test_learning_follows_the_validation_targets(scene):
    data, validation, test = scene
    histories, _ = test.block(0, len(test), data.num_items)
    found = []
    for targets in (validation.targets, np.random.default_rng(0).permutation(validation.targets)):
        baseline = Context(data).get("lambdamart")
        baseline.fit(data)
        baseline.learn(type(validation)(validation.items, validation.offsets, targets))
        found.append(baseline.scores(histories).values)
    assert not np.array_equal(*found)


def test_words_make_items_alike_that_share_them():
    matrix = word_similarity(["", "red wool hat", "red wool scarf", "blue ceramic mug", "", "ceramic mug red"])
    values = matrix.toarray()
    assert values.shape == (5, 5)
    assert (values.diagonal() == 0).all()
    assert values == pytest.approx(values.T)
    assert values[0, 1] > values[0, 4] > values[0, 2] == 0
    assert values[3].sum() == 0
    assert word_similarity(["", "", ""]) is None
    assert word_similarity(["", "one", "two"]) is None  # no word stands in two texts


def test_a_missing_library_is_named(scene, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"lambdamart needs lightgbm: pip install .*\[trees\]"):
        Context(scene[0]).get("lambdamart")
