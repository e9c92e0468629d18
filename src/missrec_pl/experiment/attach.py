"""Giving a network what it knows of the data beside its weights."""

from __future__ import annotations

import logging
from time import perf_counter

from missrec_pl.datamodules import DomainDataModule
from missrec_pl.fitting.features import whitened
from missrec_pl.fitting.pairs import item_pairs
from missrec_pl.fitting.spectral import collaborative_vectors
from missrec_pl.nn import SequenceModel

log = logging.getLogger(__name__)


def attach_evidence(model: SequenceModel, datamodule: DomainDataModule) -> None:
    """Give a network what it knows of the data; nothing where it has no such parts.

    The same in every process. Item pairs of the training part and whitened features are made anew from the data
    wherever a checkpoint is used; vectors of what was bought together are made for training alone, for the
    checkpoint carries those that its adapter was fitted to.
    """
    num_items, folds = datamodule.catalogue.num_items, datamodule.fold_of_user
    if model.cooccurrence is not None or model.collaborative is not None:
        items, offsets = datamodule.sequences.training_parts()
    start = perf_counter()
    if model.cooccurrence is not None:
        pairs = item_pairs(items, offsets, num_items)
        model.cooccurrence.attach(pairs)
        log.info("evidence: %s item pairs, %.1f s", f"{len(pairs.neighbours):,}", perf_counter() - start)
    start = perf_counter()
    if model.content is not None:
        model.content.attach({name: whitened(datamodule.catalogue, name) for name in model.content.modalities})
        log.info("evidence: whitened features, %.1f s", perf_counter() - start)
    start = perf_counter()
    if model.collaborative is not None and folds is not None:
        width = model.collaborative.vectors.shape[1]
        model.collaborative.attach(*collaborative_vectors(items, offsets, num_items, width, folds))
        log.info("evidence: collaborative vectors of %d axes, %.1f s", width, perf_counter() - start)
