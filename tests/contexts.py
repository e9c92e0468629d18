"""What fitted parts are fitted to, from plain lists."""

import numpy as np

from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.nn.fitted import FittingContext
from missrec_pl.system.processes import Share


def flat(lines):
    """Items of all lines ``[I]``, and where each line starts (and the end)."""
    items = np.array([item for line in lines for item in line], np.int32)
    return items, np.concatenate([[0], np.cumsum([len(line) for line in lines])]).astype(np.int64)


def context_of(domain, lines, folds=None, share=None):
    """A context of one domain's items, of the given training parts and folds of their users."""
    return FittingContext(
        catalogue=Catalogue([domain], list(domain.modalities)),
        training_parts=lambda: flat(lines),
        fold_of_user=None if folds is None else np.array(folds),
        items=lambda: iter(()),
        seed=0,
        share=share or Share(),
    )
