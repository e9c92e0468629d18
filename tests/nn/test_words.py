"""The scorer of words against a plain loop over the cosines of TF-IDF."""

import pytest
import torch
from contexts import context_of
from sklearn.feature_extraction.text import TfidfVectorizer
from tiny_scorers import padded

from missrec_pl.nn import DataShape
from missrec_pl.nn.fitted import refit
from missrec_pl.nn.scorers import ScoredRows, Words

TEXTS = [
    "red lamp",
    "blue lamp",
    "red red shade",
    "",
    "steel bolt",
    "steel nut bolt",
    "lamp shade",
    "unique",
    "nut",
]
HISTORIES = [[1, 3], [5], [4], [8, 7, 6, 7]]


@pytest.fixture
def fitted(memory_domain):
    def of(texts):
        domain = memory_domain("nine", features={"text": torch.eye(9).tolist()}, texts=texts)
        scorer = Words(DataShape(9, {"text": 9}))
        for part in scorer.fitted.values():
            refit(part, context_of(domain, [[1, 2]]))
        return scorer

    return of


def scores_of(scorer, candidates):
    rows = ScoredRows(padded(HISTORIES), torch.tensor([len(h) for h in HISTORIES]), torch.tensor(candidates))
    return rows.of_candidates(scorer.of_rows(rows))


@pytest.mark.parametrize("candidates", [list(range(1, 10)), [7, 2, 6, 2]])
def test_the_largest_cosine_of_the_history_counts(fitted, candidates):
    vectors = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(TEXTS).toarray()
    scorer = fitted(TEXTS)
    found = scores_of(scorer, candidates)
    for b, history in enumerate(HISTORIES):
        for c, i in enumerate(candidates):
            cosines = [vectors[j - 1] @ vectors[i - 1] for j in history]
            wanted = 0.0 if i in history else 2.0 * max(cosines)
            assert found[b, c].item() == pytest.approx(wanted, abs=1e-6)
    assert (found > 0).any()
    found.sum().backward()
    assert scorer.weight.grad != 0


@pytest.mark.parametrize("texts", [[""] * 9, ["one", "two", *[""] * 7]], ids=["none", "no word twice"])
def test_without_words_it_adds_nothing(fitted, texts):
    assert not scores_of(fitted(texts), [1, 2, 9]).any()


def test_a_history_by_itself_is_scored_as_among_others(fitted):
    scorer = fitted(TEXTS)
    together = scores_of(scorer, [2, 7, 9])
    for b, history in enumerate(HISTORIES):
        rows = ScoredRows(torch.tensor([history]), torch.tensor([len(history)]), torch.tensor([2, 7, 9]))
        assert torch.equal(scorer.of_rows(rows)[0], together[b])


def test_unfitted_it_says_so():
    with pytest.raises(RuntimeError, match=r"fit\(\) them first"):
        Words(DataShape(9, {})).of_rows(ScoredRows(torch.tensor([[1]]), torch.tensor([1]), torch.tensor([1, 2])))
