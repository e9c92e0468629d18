from collections import Counter

from missrec_pl.report.paper.published import ABLATIONS, METRICS, reported


def rows(**wanted):
    return [row for row in reported() if all(getattr(row, name) == value for name, value in wanted.items())]


def test_every_table_is_complete():
    assert Counter(row.table for row in reported()) == {
        "table2": 5 * 11,
        "table3": 2 * 15,
        "table4": 2 * 4,
        "table5": 2 * 6,
        "released": 20,
    }
    keys = [(row.table, row.data, row.input, row.variant) for row in reported()]
    assert len(set(keys)) == len(keys)
    assert {row.variant for row in rows(table="table5")} == set(ABLATIONS)


def test_numbers_are_metrics_and_agree_where_the_paper_repeats_them():
    for row in reported():
        assert tuple(row.metrics) == METRICS
        assert 0 < row.metrics["ndcg@10"] < row.metrics["recall@10"] < row.metrics["recall@50"] < 1
        assert row.metrics["ndcg@10"] < row.metrics["ndcg@50"] < row.metrics["recall@50"]
    for row in rows(table="table5", variant="full"):
        (main,) = rows(table="table2", data=row.data, input="ID+T+V")
        (pretrained,) = rows(table="table4", data=row.data, input="ID+T+V", variant="pretrained")
        assert row.metrics == main.metrics == pretrained.metrics


def test_some_numbers_by_hand():
    (one,) = rows(table="table3", data="Scientific_mm_subset", input="T+V", variant="MISSRec")
    assert one.metrics == {"recall@10": 0.1633, "ndcg@10": 0.0778, "recall@50": 0.3264, "ndcg@50": 0.1131}
    (one,) = rows(table="released", data="Instruments_mm_full", input="T+V", variant="pretrained")
    assert one.metrics == {"recall@10": 0.1201, "ndcg@10": 0.0771, "recall@50": 0.2218, "ndcg@50": 0.0988}
    (one,) = rows(table="table2", data="Office_mm_full", variant="S3-Rec")
    assert one.metrics == {"recall@10": 0.1030, "ndcg@10": 0.0653, "recall@50": 0.1613, "ndcg@50": 0.0780}
