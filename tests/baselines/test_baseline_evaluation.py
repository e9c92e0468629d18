import subprocess
import sys

import numpy as np
import pytest
import torch
from small_domain import (
    HAS_IMAGE,
    HAS_TEXT,
    dense_ranks,
    fitted,
    held_out,
    make_data,
    random_data,
    random_held_out,
)

from missrec_pl.baselines import BaselineData, Context, available, evaluate, evaluate_baselines, registry
from missrec_pl.errors import ConfigError, DataError

TUNABLE = ["content_knn", "cooccurrence_knn", "ease", "hybrid_knn"]


def test_names_follow_the_modalities_that_items_have():
    assert available(make_data()) == ["random", "popularity", "text_knn", "image_knn", *TUNABLE]
    assert available(make_data(modalities=())) == ["random", "popularity", *TUNABLE]
    empty = make_data()
    empty.present["image"] = np.zeros(6, dtype=bool)
    assert "image_knn" not in available(empty)


def test_evaluation_on_a_case_worked_by_hand():
    report = evaluate_baselines(
        make_data(), held_out([[3, 1], [3]], [2, 4]), names=["popularity", "text_knn"], ks=(1, 2), prefix="val"
    )
    # popularity: ranks 1 and 4.5; text_knn: item 2 ties with item 1 (1.5), item 4 has no text (5)
    assert list(report.included) == ["popularity", "text_knn"]
    assert report.included["popularity"] == pytest.approx(
        {"val/mrr": 11 / 18, **{f"val/{name}@{k}": 0.5 for name in ("recall", "ndcg", "mrr") for k in (1, 2)}}
    )
    assert report.included["text_knn"]["val/mrr"] == pytest.approx((1 / 1.5 + 1 / 5) / 2)
    # without the history: popularity 1 and 3.5, text_knn 1 and 4
    assert report.excluded["popularity"]["val/mrr"] == pytest.approx((1 + 1 / 3.5) / 2)
    assert report.excluded["text_knn"]["val/mrr"] == pytest.approx((1 + 1 / 4) / 2)
    assert report.metrics(history_excluded=True) is report.excluded
    assert report.metrics(history_excluded=False) is report.included
    assert report.settings == {}
    assert set(report.seconds) == {"popularity", "text_knn"}
    assert report.ranks == {}


def test_excluding_the_history_makes_a_repeated_target_a_miss():
    test = held_out([[2, 3], [2, 3]], [1, 2])
    report = evaluate_baselines(make_data(), test, names=["popularity"], ks=(1,), keep_ranks=True)
    assert report.included["popularity"]["test/mrr"] == pytest.approx((1 / 3 + 1) / 2)
    assert report.excluded["popularity"]["test/mrr"] == 1 / 2
    ranks = report.ranks["popularity"]
    assert (ranks.included.tolist(), ranks.excluded.tolist()) == ([3, 1], [1, np.inf])


def test_constants_are_the_best_of_the_grid_on_validation_for_each_protocol():
    data = random_data(4, users=200)
    validation, test = random_held_out(data, 5, 60), random_held_out(data, 6, 50)
    report = evaluate_baselines(data, test, validation=validation, names=TUNABLE)
    assert set(report.settings) == set(TUNABLE)
    for name in TUNABLE:
        baseline = fitted(name, data)
        of_parts = {part: tuple(report.settings[part].values()) for part in TUNABLE[:2]}
        gains = []
        grid = baseline.grid(of_parts)
        histories, columns = validation.block(0, len(validation), data.num_items)
        for settings in grid:
            ranks = evaluate.rank(baseline, histories, columns, settings)
            both = (ranks.included, ranks.excluded)
            gains.append([np.where(one <= 10, 1 / np.log2(1 + one), 0).mean() for one in both])
        for protocol, column in (("history_included", 0), ("history_excluded", 1)):
            best = max(gain[column] for gain in gains)
            chosen = gains[list(grid).index(report.settings[name][protocol])][column]
            assert chosen == pytest.approx(best)


def test_the_test_split_does_not_decide_the_constants():
    data = random_data(4, users=200)
    validation = random_held_out(data, 5, 60)
    reports = [
        evaluate_baselines(data, random_held_out(data, seed, 30), validation=validation, names=TUNABLE)
        for seed in (7, 8)
    ]
    assert reports[0].settings == reports[1].settings
    assert reports[0].included != reports[1].included


def test_without_validation_users_the_first_constants_of_the_grid_are_used():
    data = random_data()
    test = random_held_out(data)
    nobody = held_out([], [])
    for validation in (None, nobody):
        report = evaluate_baselines(data, test, validation=validation, names=TUNABLE)
        for name in TUNABLE[:3]:
            first = fitted(name, data).grid({})[0]
            assert report.settings[name] == {"history_included": first, "history_excluded": first}
        assert report.settings["hybrid_knn"]["history_included"]["content_decay"] == 0.8


def test_metrics_are_those_of_the_dense_scores_with_the_chosen_constants():
    data = random_data(2)
    test = random_held_out(data, 3, 80)
    report = evaluate_baselines(data, test, validation=random_held_out(data, 4), names=TUNABLE, ks=(3,))
    histories, columns = test.block(0, 80, data.num_items)
    for name in TUNABLE:
        for protocol, found in (("history_included", report.included), ("history_excluded", report.excluded)):
            scores = fitted(name, data).scores_with(histories, report.settings[name][protocol])
            if name == "ease":
                values = np.zeros((80, data.num_items), dtype=np.float32)
                values[:, scores.columns] = scores.values.numpy()
            else:
                values = scores.as_matrix(np.float32(1)).toarray()
            ranks = dense_ranks(values, histories, columns)[protocol == "history_excluded"]
            assert found[name]["test/recall@3"] == pytest.approx((ranks <= 3).mean())
            assert found[name]["test/mrr"] == pytest.approx((1 / ranks).mean())


def test_everything_is_the_same_again_and_in_blocks_of_any_size():
    data = random_data(5)
    test, validation = random_held_out(data, 6, 70), random_held_out(data, 7, 50)
    first, again, in_blocks = (
        evaluate_baselines(data, test, validation=validation, most_rows=rows) for rows in (1024, 1024, 7)
    )
    assert first.included == again.included
    assert first.excluded == again.excluded
    assert first.settings == again.settings == in_blocks.settings
    for name in available(data):
        assert in_blocks.included[name] == pytest.approx(first.included[name], abs=1e-9)
        assert in_blocks.excluded[name] == pytest.approx(first.excluded[name], abs=1e-9)


def test_validation_is_sampled_in_the_order_of_the_users():
    everyone = held_out([[1], [2], [3], [4], [5]], [5, 4, 3, 2, 1])
    some = everyone.sample(3)
    assert len(some) == 3
    assert (some.items + some.targets == 6).all()
    assert (np.diff(some.items) > 0).all()
    assert some.items.tolist() == everyone.sample(3).items.tolist()
    assert everyone.sample(5) is everyone


def test_what_is_beyond_a_baseline_is_left_out_with_the_reason():
    options = registry.Options(max_ease_items=2)
    report = evaluate_baselines(make_data(modalities=()), held_out([[1]], [2]), options=options)
    assert list(report.included) == ["random", "popularity", "cooccurrence_knn"]
    assert report.left_out["content_knn"] == report.left_out["hybrid_knn"] == "the domain has no features"
    assert "max_ease_items=2" in report.left_out["ease"]


def test_a_registered_name_takes_part_and_cannot_be_taken_twice(monkeypatch):
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))

    class Newest:
        name = "newest"

        def fit(self, data):
            self._scores = torch.arange(data.num_items).float()

        def scores(self, histories):
            return self._scores.repeat(len(histories), 1)

    @registry.register("newest")
    def newest(data, context):
        return Newest()

    report = evaluate_baselines(make_data(), held_out([[1]], [4]), names=["newest"], ks=(1, 2))
    assert report.included["newest"]["test/recall@1"] == 0
    assert report.included["newest"]["test/recall@2"] == 1
    with pytest.raises(ValueError, match="twice"):
        registry.register("newest")(newest)


def test_parts_are_shared_with_the_baselines_of_their_name():
    context = Context(make_data())
    assert context.get("hybrid_knn").parts == (context.get("content_knn"), context.get("cooccurrence_knn"))


def test_compat_is_passed_to_the_metrics():
    report = evaluate_baselines(
        make_data(), held_out([[1]] * 3, [3, 3, 1]), names=["popularity"], ks=(1,), compat=True
    )
    assert report.included["popularity"]["test/recall@1"] == 0.6667  # ranks 2, 2, 3, read as @2 and rounded


def test_threads_are_given_back():
    before = torch.get_num_threads()
    evaluate_baselines(make_data(), held_out([[1]], [2]), names=["popularity"])
    assert torch.get_num_threads() == before


def test_unknown_names_say_what_there_is():
    with pytest.raises(
        ConfigError, match=r"'text_knn'.*features of image.*random, popularity, image_knn, content"
    ):
        Context(make_data(modalities=("image",))).get("text_knn")
    with pytest.raises(ConfigError, match=r"'populrity'"):
        evaluate_baselines(make_data(), held_out([[1]], [2]), names=["populrity"])


@pytest.mark.parametrize(
    ("histories", "targets", "message"),
    [
        ([], [], "split is empty"),
        ([[1], [2]], [3], "2 histories but 1 targets"),
        ([[1]], [0], r"targets span items 0\.\.0"),
        ([[1]], [6], r"targets span items 6\.\.6"),
        ([[6]], [1], r"histories span items 6\.\.6"),
        ([[1], []], [1, 2], "history 1 is empty"),
        ([[]], [1], "history 0 is empty"),
    ],
)
def test_impossible_splits_are_refused(histories, targets, message):
    with pytest.raises(DataError, match=message):
        evaluate_baselines(make_data(), held_out(histories, targets))
    if len(targets) and len(histories) == len(targets):
        with pytest.raises(DataError, match=message):
            evaluate_baselines(make_data(), held_out([[1]], [2]), validation=held_out(histories, targets))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_offsets": np.array([0, 5])}, "train_offsets must rise from 0 to the 6"),
        ({"train_offsets": np.array([0, 7, 6])}, "train_offsets"),
        ({"train_items": np.array([1, 2, 2, 3, 2, 6])}, r"span 1\.\.6, expected 1\.\.5"),
        ({"present": {"text": HAS_TEXT}}, r"presence for \['text'\]"),
        ({"present": {"text": HAS_TEXT, "image": HAS_IMAGE[1:]}}, "5 presence flags, expected 6"),
    ],
)
def test_inconsistent_data_are_refused(change, message):
    good = vars(make_data())
    with pytest.raises(DataError, match=message):
        BaselineData(**{**good, **change})


def test_no_framework_is_imported():
    code = (
        "import sys, missrec_pl.baselines;"
        "print([m for m in ('lightning', 'hydra', 'omegaconf', 'wandb') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
