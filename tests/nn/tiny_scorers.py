"""Small auxiliary scorers with numbers of their own, and the histories they are asked about."""

import pytest
import torch
from contexts import flat
from hypothesis import strategies as st

from missrec_pl.fitting.sequence_pairs import item_pairs
from missrec_pl.nn import DataShape
from missrec_pl.nn.fitted import refit
from missrec_pl.nn.scorers import Content, Cooccurrence, content

NUM_ITEMS = 9
SHAPE = DataShape(NUM_ITEMS, {"text": 5, "image": 5})

lines = st.lists(st.integers(1, NUM_ITEMS), min_size=2, max_size=14)
many_users = st.lists(lines, min_size=1, max_size=6)


def padded(lists, width=None):
    width = width or max(map(len, lists))
    return torch.tensor([one + [0] * (width - len(one)) for one in lists])


def counted(users, row_limit=None):
    torch.manual_seed(0)
    term = Cooccurrence(SHAPE).double()
    with torch.no_grad():
        for parameter in term.parameters():
            parameter.add_(0.3 * torch.rand_like(parameter))
    pairs = item_pairs(*flat(users), NUM_ITEMS, row_limit=row_limit)
    term.pairs.take(pairs)
    term.pairs.double()
    return term, pairs


def fitted_content(context, vectors):
    """The scorer of features whose whitened vectors are told."""
    scorer = Content(SHAPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "whitened_with_axes", lambda catalogue, modality: (vectors[modality], []))
        for part in scorer.fitted.values():
            refit(part, context)
    scorer.double()
    with torch.no_grad():
        scorer.weight.copy_(torch.tensor([0.7, -1.3]))
        scorer.decay_logit.copy_(torch.tensor([0.2, 1.9]))
    return scorer
