"""What callers can ask a recommender for."""

import json

import numpy as np
import pytest
import torch
from served_shop import IDS, ITEMS, Clock, features, make, written

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.nn.fitted import Fitted
from missrec_pl.serving import ServedRecommender, load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("shop") / "tuned")


@pytest.fixture
def served(folder):
    return load(folder)


def items_of(table, user=0):
    return table.filter(np.equal(table["user"].to_numpy(), user))["item"].to_pylist()


def test_a_table_ordered_by_user_and_rank(served):
    table = served.recommend([["i1", "i2"], ["i3"]], k=4)
    assert table.column_names == ["user", "item", "rank", "score"]
    assert table["user"].to_pylist() == [0] * 4 + [1] * 4
    assert table["rank"].to_pylist() == [1, 2, 3, 4] * 2
    scores = table["score"].to_numpy().reshape(2, 4)
    assert (np.diff(scores) <= 0).all()
    assert "score" not in served.recommend([["i1"]], with_scores=False).column_names
    assert len(served.recommend([])) == 0


def test_a_history_alone_is_the_history_among_others(served):
    histories = [IDS[:4], ["i9"], IDS[2:9], ["i3", "i3"]] * 6
    together = served.recommend(histories, k=3)
    for number in range(4):
        alone = served.recommend([histories[number]], k=3)
        assert items_of(alone) == items_of(together, number)


def test_seen_items_are_left_out_however_long_ago(served):
    long = [*IDS[:7], *IDS[:2]] * 3  # longer than what the network reads
    assert sorted(items_of(served.recommend([long], k=ITEMS))) == sorted(IDS[7:])
    assert sorted(items_of(served.recommend([long], k=ITEMS, exclude_seen=False))) == sorted(IDS)


def test_filters(served):
    assert set(items_of(served.recommend([["i1"]], k=99, allowed=["i2", "i3", "i1"]))) == {"i2", "i3"}
    assert set(items_of(served.recommend([["i1"]], k=99, blocked=IDS[3:]))) == {"i2", "i3"}
    assert items_of(served.recommend([["i1"]], allowed=[])) == []


def test_unknown_ids_are_skipped_and_reported_or_refused(served):
    table = served.recommend([["i1"], ["nobody", "i1", 7]], k=3)
    assert items_of(table, 0) == items_of(table, 1)
    assert json.loads(table.schema.metadata[b"unknown"]) == {"1": ["nobody", "7"]}
    with pytest.raises(DataError, match=r"histories\[0\]: item 'nobody' is unknown"):
        served.recommend([["nobody"]], unknown="refuse")
    with pytest.raises(DataError, match="allowed: item 'x' is unknown"):
        served.recommend([["i1"]], allowed=["x"], unknown="refuse")


def test_who_is_unknown_gets_what_most_chose(served):
    table = served.recommend([[], ["nobody"]], k=3, blocked=["i2"])
    assert items_of(table, 0) == items_of(table, 1) == ["i1", "i3", "i4"]
    assert table["score"].null_count == 6


@pytest.mark.parametrize("said", [{"k": 0}, {"k": True}, {"k": 2.5}, {"unknown": "maybe"}])
def test_options_that_cannot_be(served, said):
    with pytest.raises(ConfigError):
        served.recommend([["i1"]], **said)


@pytest.mark.parametrize("history", ["i1", b"i1", 5, None])
def test_a_history_is_a_list(served, history):
    with pytest.raises(ConfigError, match=r"histories\[0\]: a list of item ids is needed"):
        served.recommend([history])


def test_similar_items(served):
    table = served.similar("i1", k=5)
    assert table.column_names == ["item", "rank", "score"]
    assert "i1" not in table["item"].to_pylist()
    assert (np.diff(table["score"].to_numpy()) <= 0).all()
    with pytest.raises(DataError, match="'x' is unknown"):
        served.similar("x")


def test_new_items_are_recommended_at_once_and_change_nothing_else(served):
    history = [["i1", "i4", "i2"]]
    before = served.recommend(history, k=ITEMS, exclude_seen=False)
    same = {name: rows[:1] for name, rows in features().items()}  # the content of i1
    served.add_items(["new", 77], features={"text": [same["text"][0], None], "image": [None, same["image"][0]]})
    after = served.recommend(history, k=99, exclude_seen=False)
    assert set(items_of(after)) == {*IDS, "new", "77"}
    was = dict(zip(before["item"].to_pylist(), before["score"].to_pylist(), strict=True))
    now = dict(zip(after["item"].to_pylist(), after["score"].to_pylist(), strict=True))
    assert {item: now[item] for item in was} == pytest.approx(was, abs=1e-5)
    assert served.similar("new", 1)["item"].to_pylist() == ["i1"]
    assert len(items_of(served.recommend([["new", "i2"]], k=3))) == 3
    assert served.num_items == ITEMS + 2


def test_a_new_item_scores_as_one_of_its_content_without_purchases():
    """Beside i1's twin in content; the ID embedding and the pairs of i1 are its own."""
    bundle = make()
    bundle.network.id_embedding.weight.data.zero_()
    served = ServedRecommender(bundle)
    served.add_items(["twin"], features={name: rows[:1] for name, rows in features().items()}, titles=["Twin"])
    shelf = served._shelf
    torch.testing.assert_close(shelf.items.vectors[-1], shelf.items.vectors[1])
    assert served.title("twin") == "Twin"
    content = bundle.scorers["content"].fitted["text"]
    torch.testing.assert_close(content.vectors[content.row_of[-1]], content.vectors[content.row_of[1]])


def test_texts_need_an_encoder(folder, served):
    with pytest.raises(ConfigError, match=r"nothing here encodes it .*made by lsa"):
        served.add_items(["new"], texts=["a lamp"])
    said = []
    served = load(folder, encoders={"text": lambda texts: said.extend(texts) or np.ones((len(texts), 5))})
    served.add_items(["a", "b"], texts=["a lamp", None], features={"image": [None, np.ones(4)]})
    assert said == ["a lamp"]
    assert served.title("a") == "a lamp"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ids": ["i1"]}, "'i1' is empty, known already or comes twice"),
        ({"ids": ["a", "a"]}, "comes twice"),
        ({"ids": [""]}, "is empty"),
        ({"ids": []}, "0 new items"),
        ({"features": {"text": [[1, 2]]}}, "5 finite numbers"),
        ({"features": {"text": [[1, 2, 3, 4, float("nan")]]}}, "5 finite numbers"),
        ({"features": {"text": [["a"] * 5]}}, "no numbers"),
        ({"features": {"text": []}}, "0 rows for 1 new items"),
        ({"features": {"sound": [[1]]}}, "the network reads text, image"),
        ({"features": {}}, "features of no modality"),
        ({"features": {"text": [[0.0] * 5]}}, "features of no modality"),
    ],
)
def test_new_items_that_do_not_fit(served, given, words):
    with pytest.raises(DataError, match=words):
        served.add_items(
            **{"ids": ["new"], "features": {"text": [[1.0] * 5] * len(given.get("ids", "x"))}, **given}
        )
    assert served.num_items == ITEMS


def test_removed_items_are_recommended_no_more(served):
    served.remove_items(["i2", "i3"])
    assert set(items_of(served.recommend([["i2"]], k=99))) == set(IDS) - {"i2", "i3"}
    assert "i3" not in served.similar("i1", 99)["item"].to_pylist()
    with pytest.raises(DataError, match="unknown"):
        served.remove_items(["i4", "nobody"])
    assert served.num_items == ITEMS - 2


def test_a_network_of_ids_takes_no_new_items(tmp_path):
    served = load(written(tmp_path / "ids", "ids"))
    with pytest.raises(ConfigError, match="reads item IDs alone"):
        served.add_items(["new"], features={"text": [[1.0] * 5]})


def test_several_domains(tmp_path):
    served = load(written(tmp_path / "two", domains=("a",) * 6 + ("b",) * 6))
    assert served.item_ids[0] == "a:i1"
    assert all(item.startswith("b:") for item in items_of(served.recommend([["a:i1", "b:i7"]], k=99)))


def test_a_network_of_somebodys_own_that_reads_times(tmp_path):
    folder = written(tmp_path / "clock", "clock")
    with pytest.raises(DataError, match="'Clock' is no network that this version has"):
        load(folder)
    served = load(folder, classes=[Clock])
    with pytest.raises(ConfigError, match="the network reads when items were met"):
        served.recommend([["i1"]])
    histories, times = [["i1", "i2"]] * 2, [[0, 100], [99, 100]]
    early, late = (
        served.recommend(histories, k=ITEMS, times=times, exclude_seen=False)["score"].to_numpy().reshape(2, -1)
    )
    assert not np.allclose(early, late)
    later = served.recommend(histories[:1], k=ITEMS, times=times[:1], at=10_000, exclude_seen=False)
    assert not np.allclose(later["score"].to_numpy(), early)
    with pytest.raises(ConfigError, match=r"times\[0\]: seconds since 1970 are needed, not -1000000"):
        served.recommend([["i1"]], times=[[-(10**30)]])
    with pytest.raises(ConfigError, match="2 times for 1 items"):
        served.recommend([["i1"]], times=[[1, 2]])


class Rows(Fitted):
    """A fitted part that holds something of each item, or of each of some codes, and says nothing of new ones."""

    def __init__(self, count):
        super().__init__()
        self.register_buffer("rows", torch.zeros(count))

    is_empty = False

    def fit(self, context):
        return {}


def test_a_fitted_part_that_holds_rows_of_items_says_how_it_grows():
    same = {name: rows[:1] for name, rows in features().items()}
    for count, can in ((ITEMS + 1, False), (4, True)):
        bundle = make()
        bundle.network.fitted["rows"] = Rows(count)
        served = ServedRecommender(bundle)
        if can:
            served.add_items(["new"], features=same)
        else:
            with pytest.raises(ConfigError, match="Rows cannot take items that came after training"):
                served.add_items(["new"], features=same)
        assert served.num_items == ITEMS + can
        assert len(bundle.network.id_embedding.weight) == ITEMS + 1 + can
