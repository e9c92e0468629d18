import subprocess
import sys

import numpy as np
import pytest
import torch

from missrec_pl.baselines import (
    BaselineData,
    available,
    base,
    create,
    default_names,
    evaluate_baselines,
    registry,
)
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.metrics import target_ranks

# Items 1..5. Text: 1 and 2 alike, 3 halfway, 5 opposite; 4 has none. Image: item 1 alone, of another width.
TEXT = np.array([[0, 0], [1, 0], [2, 0], [1, 1], [0, 0], [-1, 0]], dtype=np.float32)
HAS_TEXT = np.array([False, True, True, True, False, True])
IMAGE = np.array([[0.0]] + [[1.0]] + [[0.0]] * 4, dtype=np.float16)
HAS_IMAGE = np.array([False, True, False, False, False, False])


def make_data(*, modalities: tuple[str, ...] = ("text", "image")) -> BaselineData:
    features, present = {"text": TEXT, "image": IMAGE}, {"text": HAS_TEXT, "image": HAS_IMAGE}
    return BaselineData(
        train_items=np.array([1, 2, 2, 3, 2, 3], dtype=np.int32),
        train_offsets=np.array([0, 4, 6], dtype=np.int64),
        num_items=5,
        features={m: features[m] for m in modalities},
        present={m: present[m] for m in modalities},
    )


def scores_of(name: str, histories: list[list[int]], *, seed: int = 0) -> torch.Tensor:
    data = make_data()
    baseline = create(name, data, seed=seed)
    baseline.fit(data)
    return baseline.scores(torch.tensor(histories))


def test_popularity_counts_training_interactions():
    assert scores_of("popularity", [[1, 0], [4, 5]]).tolist() == [[1, 3, 2, 0, 0]] * 2


def test_popularity_may_be_written_into():
    data = make_data()
    popularity = create("popularity", data)
    popularity.fit(data)
    popularity.scores(torch.tensor([[1], [2]]))[0] = -1
    assert popularity.scores(torch.tensor([[1]])).tolist() == [[1, 3, 2, 0, 0]]


def test_text_knn_scores_by_cosine_with_the_last_item_and_puts_missing_lowest():
    cosine = 0.5**0.5
    scores = scores_of("text_knn", [[3, 1, 0], [3, 0, 0]])
    assert scores[0].tolist() == pytest.approx([1, 1, cosine, -2, -1])
    assert scores[1].tolist() == pytest.approx([cosine, cosine, 1, -2, -cosine])


def test_text_knn_falls_back_to_the_last_item_that_has_text():
    assert torch.equal(scores_of("text_knn", [[5, 3, 4, 4]]), scores_of("text_knn", [[3]]))


def test_text_knn_of_a_history_without_text_prefers_nothing():
    assert scores_of("text_knn", [[4, 0]]).tolist() == [[0, 0, 0, -2, 0]]


def test_identical_features_tie_exactly_at_any_batch_size():
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, 40, 300)
    features = np.concatenate([np.zeros((1, 96)), generator.normal(size=(40, 96))[kinds]]).astype(np.float32)
    present = np.arange(301) > 0
    data = BaselineData(np.array([1]), np.array([0, 1]), 300, {"text": features}, {"text": present})
    knn = create("text_knn", data)
    knn.fit(data)
    first_of_kind = torch.from_numpy(np.unique(kinds, return_index=True)[1][kinds])
    for batch_size in (1, 3, 64):
        scores = knn.scores(torch.arange(1, batch_size + 1).unsqueeze(1))
        assert torch.equal(scores, scores[:, first_of_kind])


def test_random_is_deterministic_by_row_and_seed():
    together = scores_of("random", [[1, 2, 0], [3, 0, 0], [1, 2, 3]])
    assert torch.equal(together[1:2], scores_of("random", [[3]]))
    assert not torch.equal(together[0], together[2])
    assert not torch.equal(together, scores_of("random", [[1, 2, 0], [3, 0, 0], [1, 2, 3]], seed=1))
    assert len(together.unique()) == together.numel()


def test_random_ranks_are_uniform():
    data = BaselineData(np.array([1]), np.array([0, 1]), 200)
    baseline = create("random", data)
    baseline.fit(data)
    ranks = target_ranks(baseline.scores(torch.arange(1, 4001).unsqueeze(1)), torch.zeros(4000, dtype=torch.int64))
    assert ranks.mean().item() == pytest.approx(100.5, abs=5)  # 5.5 standard errors
    assert (ranks <= 20).float().mean().item() == pytest.approx(0.1, abs=0.026)


def test_names_follow_the_modalities_that_items_have():
    assert default_names(make_data()) == ("random", "popularity", "text_knn")
    assert default_names(make_data(modalities=("image",))) == ("random", "popularity", "image_knn")
    assert default_names(make_data(modalities=())) == ("random", "popularity")
    assert available(make_data()) == ["random", "popularity", "text_knn", "image_knn"]
    empty = make_data()
    empty.present["image"] = np.zeros(6, dtype=bool)
    assert "image_knn" not in available(empty)


def test_a_registered_name_takes_part_and_cannot_be_taken_twice(monkeypatch):
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))

    class Newest:
        name = "newest"

        def fit(self, data: BaselineData) -> None:
            self._scores = torch.arange(data.num_items).float()

        def scores(self, histories: torch.Tensor) -> torch.Tensor:
            return self._scores.repeat(len(histories), 1)

    def newest(data: BaselineData, seed: int) -> base.Baseline:
        return Newest()

    registry.register("newest")(newest)
    results = evaluate_baselines(make_data(), [np.array([1])], np.array([4]), names=["newest"], ks=(1, 2))
    assert results["newest"]["test/recall@1"] == 0
    assert results["newest"]["test/recall@2"] == 1
    with pytest.raises(ValueError, match="twice"):
        registry.register("newest")(newest)


def test_evaluation_on_a_case_worked_by_hand():
    results = evaluate_baselines(
        make_data(), [np.array([3, 1]), np.array([3])], np.array([2, 4]), ks=(1, 2), prefix="val"
    )
    # popularity: ranks 1 and 4.5; text_knn: item 2 ties with item 1 (1.5), item 4 has no text (5)
    assert list(results) == ["random", "popularity", "text_knn"]
    assert results["popularity"] == pytest.approx(
        {"val/recall@1": 0.5, "val/ndcg@1": 0.5, "val/recall@2": 0.5, "val/ndcg@2": 0.5, "val/mrr": 11 / 18}
    )
    assert results["text_knn"]["val/recall@1"] == 0
    assert results["text_knn"]["val/recall@2"] == 0.5
    assert results["text_knn"]["val/mrr"] == pytest.approx((1 / 1.5 + 1 / 5) / 2)


def test_masking_takes_the_history_out_but_never_the_target():
    histories, targets = [np.array([2, 3]), np.array([2, 3])], np.array([1, 2])
    unmasked = evaluate_baselines(make_data(), histories, targets, names=["popularity"], ks=(1,))
    masked = evaluate_baselines(make_data(), histories, targets, names=["popularity"], ks=(1,), mask_history=True)
    assert unmasked["popularity"]["test/mrr"] == pytest.approx((1 / 3 + 1) / 2)
    assert masked["popularity"]["test/mrr"] == 1


def test_result_does_not_depend_on_form_or_batch_size():
    generator = np.random.default_rng(0)
    histories = [generator.integers(1, 6, size=generator.integers(1, 5)) for _ in range(23)]
    padded = np.zeros((23, 9), dtype=np.int64)
    for row, history in zip(padded, histories, strict=True):
        row[: len(history)] = history
    targets = generator.integers(1, 6, size=23)
    expected = evaluate_baselines(make_data(), histories, targets, ks=(1, 3))
    assert evaluate_baselines(make_data(), padded, targets, ks=(1, 3), batch_size=4) == expected
    as_tensors = (torch.from_numpy(padded), torch.from_numpy(targets))
    assert evaluate_baselines(make_data(), *as_tensors, ks=(1, 3), mask_history=False) == expected


def test_compat_is_passed_to_the_metrics():
    results = evaluate_baselines(
        make_data(), [np.array([1])] * 3, np.array([3, 3, 1]), names=["popularity"], ks=(1,), compat=True
    )
    assert results["popularity"]["test/recall@1"] == 0.6667  # ranks 2, 2, 3, read as @2 and rounded


def test_unknown_names_say_what_there_is():
    with pytest.raises(ConfigError, match=r"'text_knn'.*features of image.*random, popularity, image_knn"):
        create("text_knn", make_data(modalities=("image",)))
    with pytest.raises(ConfigError, match=r"'populrity'"):
        evaluate_baselines(make_data(), [np.array([1])], np.array([2]), names=["populrity"])


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
    arrays = [np.array(history, dtype=np.int64) for history in histories]
    with pytest.raises(DataError, match=message):
        evaluate_baselines(make_data(), arrays, np.array(targets, dtype=np.int64))


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
