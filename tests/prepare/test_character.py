"""What ``prepare info`` says of the kind of the data."""

import re

import numpy as np
import pytest

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.data.splits import make_split
from missrec_pl.prepare.character import character, order

ITEMS = 40


def sequences_of(next_item, seed=0, users=300):
    random = np.random.default_rng(seed)
    lists = []
    for _ in range(users):
        one = [int(random.integers(1, ITEMS + 1))]
        for _ in range(int(random.integers(6, 12))):
            one.append(next_item(one[-1], random))
        lists.append(one)
    return Sequences.from_lists(lists)


def said(sequences):
    (finding,) = order(sequences, make_split(sequences, "leave_one_out"), ITEMS)
    real, shuffled = map(float, re.findall(r"(?:has Recall@10|parts) (\d\.\d+)", finding.text))
    return finding.text, real, shuffled


def test_order_is_found_where_items_follow_one_another():
    text, real, shuffled = said(sequences_of(lambda last, random: last % ITEMS + 1))
    assert real == 1 > shuffled
    assert text.endswith("order carries something")


def test_no_order_is_found_where_there_is_none():
    text, real, shuffled = said(sequences_of(lambda last, random: int(random.integers(1, ITEMS + 1))))
    assert abs(real - shuffled) < 0.1
    assert text.endswith("order carries nothing that a first-order model sees")


def test_the_test_target_is_not_read():
    sequences = sequences_of(lambda last, random: last % ITEMS + 1)
    items = sequences.items.copy()
    items[sequences.offsets[1:] - 1] = 1
    assert said(Sequences(items, sequences.offsets)) == said(sequences)


@pytest.fixture
def domain(synthetic_source):
    return Domain.open(next(iter(synthetic_source().paths())))


def test_facts_are_those_of_the_folder(domain):
    text = "\n".join(finding.text for finding in character(domain))
    lengths = domain.sequences.lengths()
    density = len(domain.sequences.items) / (domain.num_users * domain.num_items)
    assert f"density: {density:.2%} of all pairs of user and item; sequences of {lengths.min()} to" in text
    assert "repeats: 0.0% of" in text  # synthetic users never return to an item
    assert "sequential: a first-order model has Recall@10" in text
