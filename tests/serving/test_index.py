"""Nominees of an index, scored exactly: the same items as among all, where the catalogue is small or filtered."""

import numpy as np
import pytest
import torch
from served_shop import DIMS, IDS, features, make, written

from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError
from missrec_pl.nn import DataShape
from missrec_pl.nn.bert4rec import BERT4Rec
from missrec_pl.nn.contract import ItemInputs, Users
from missrec_pl.nn.scorers import ScoredRows
from missrec_pl.serving import ServedRecommender, index, load
from missrec_pl.serving.request import Request

HISTORIES = [IDS[:4], ["i9"], [], IDS[2:9], ["i3", "i3"], ["i12", "i7"]]


def answers(served, count=None, **options):
    if count is not None:
        served.make_index(count)
    return served.answer(Request(HISTORIES, **options)).ranked


@pytest.mark.parametrize("kind", ["tuned", "ids"])
@pytest.mark.parametrize(
    "options", [{}, {"exclude_seen": False}, {"blocked": IDS[:6]}, {"allowed": IDS[3:5]}, {"k": 99}]
)
def test_as_among_all(kind, options):
    wanted, found = (
        answers(ServedRecommender(make(kind)), **options),
        answers(ServedRecommender(make(kind)), 12, **options),
    )
    assert [one.items for one in found] == [one.items for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.scores == (pytest.approx(other.scores, abs=1e-5) if None not in other.scores else other.scores)


def test_few_nominees_that_filters_take_away():
    """One of each table: where less is left than is asked for, all items are scored."""
    wanted, found = answers(ServedRecommender(make()), k=4), answers(ServedRecommender(make()), 1, k=4)
    assert [len(one.items) for one in found] == [4] * 6
    assert {*found[1].items} & {*wanted[1].items}
    all_but_two = {"k": 2, "blocked": IDS[:10], "exclude_seen": False}
    assert (
        answers(ServedRecommender(make()), 1, **all_but_two)[1].items
        == answers(ServedRecommender(make()), **all_but_two)[1].items
    )


def test_domains_stay_apart(tmp_path):
    served = load(written(tmp_path / "two", domains=("a",) * 6 + ("b",) * 6), index=True)
    found = served.recommend([["a:i1", "b:i7"]], k=99)["item"].to_pylist()
    assert len(found) == 5
    assert all(item.startswith("b:") for item in found)


def test_items_that_come_later_are_nominated():
    served = ServedRecommender(make())
    served.make_index(1)
    served.add_items(["new"], features={name: rows[:1] for name, rows in features().items()})
    assert "new" in answers(served, k=13, exclude_seen=False)[0].items
    served.remove_items(["new"])
    assert "new" not in answers(served, k=13, exclude_seen=False)[0].items


def test_parts_add_up_here_too():
    for one in answers(ServedRecommender(make()), 12, with_parts=True)[:2]:
        assert [sum(parts.values()) for parts in one.parts] == pytest.approx(one.scores, abs=1e-5)


def test_what_stood_close_is_nominated_strongest_first():
    scorer = make().scorers["cooccurrence"]
    ids = torch.tensor([[1, 2, 3], [7, 0, 0], [12, 0, 0]])
    rows = ScoredRows(ids, torch.tensor([3, 1, 1]), torch.arange(1, 13))
    scores = scorer.of_rows(rows)
    found = scorer.nominees(rows, 5)
    for row, nominees in enumerate(found):
        unseen = [one for one in nominees.tolist() if one and one not in ids[row]]
        assert (
            unseen
            == [int(i) + 1 for i in scores[row].argsort(descending=True) if scores[row, i] > 0][: len(unseen)]
        )
    assert found[1, 0] > 0


def test_a_bias_is_a_column():
    data = DataShape(30, DIMS, max_history=4)
    torch.manual_seed(0)
    network = BERT4Rec(data, hidden_size=8, num_heads=2, inner_size=8, num_layers=1).eval()
    network.output_bias.weight.data.normal_(std=3)
    items = network.encode_items(
        ItemInputs(ItemTable(torch.arange(31), torch.ones(31, 2, dtype=torch.bool), {}, {}))
    )
    state = torch.randn(4, 8)
    table = network.index_tables(items)["items"].detach()
    queries = torch.cat([network.index_query(state), torch.ones(4, 1)], 1)
    found = index._Neighbours(items.ids[1:], table[1:]).find(queries, 5)
    with torch.no_grad():
        wanted = network.score(Users(state), items.span(1)).topk(5).indices + 1
    assert np.array_equal(found, wanted)


def test_cells_of_many_vectors(monkeypatch):
    """Clustered vectors, of which a sixteenth of the cells is looked into."""
    monkeypatch.setattr(index, "_FLAT", 100)
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(50, 16, generator=random)
    vectors = centres[torch.randint(50, (4000,), generator=random)] + 0.3 * torch.randn(4000, 16, generator=random)
    queries = vectors[:64] + 0.1 * torch.randn(64, 16, generator=random)
    vectors[7] = 0
    found = index._Neighbours(torch.arange(1, 4001), vectors).find(queries, 10)
    wanted = (queries @ vectors.T).topk(10).indices + 1
    recall = np.mean([len({*one} & {*other}) / 10 for one, other in zip(found, wanted.tolist(), strict=True)])
    assert recall >= 0.95
    assert 8 not in found


def test_a_network_that_names_no_vectors_is_refused(monkeypatch):
    served = ServedRecommender(make("ids"))
    monkeypatch.setattr(type(served.scoring.network), "index_tables", lambda self, items: {})
    with pytest.raises(ConfigError, match=r"--index: SASRec does not say which vectors"):
        served.make_index()


def test_without_faiss(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"--index needs faiss: pip install .*\[index\]"):
        ServedRecommender(make()).make_index()
