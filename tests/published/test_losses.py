"""Losses on given logits against what RecTools and the authors of gSASRec and eSASRec compute."""

import os
from types import SimpleNamespace

import pytest
import torch
from published_files import arrays, assert_equal, cases

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import BCE, GBCE, SampledSoftmax, Step
from missrec_pl.losses.sampled import less_log_q
from missrec_pl.nn.contract import DataShape, Items

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")


class ToldStep(Step):
    """A step without a network: its logits are told."""

    def __init__(self, **parts):
        vars(self).update(parts)


def losses_of(loss, logits, target, negatives, num_items):
    """``[R]`` losses of targets whose logits, and their negatives', are told."""
    count = len(logits)
    nothing = torch.zeros(num_items + 1, 0, dtype=torch.bool)
    ids = torch.arange(num_items + 1)
    batch = SequenceBatch(
        history=torch.ones(count, 1, dtype=torch.long),
        length=torch.ones(count, dtype=torch.long),
        target=target,
        domain=torch.zeros(count, dtype=torch.long),
        items=ItemTable(ids, nothing, {}, {}),
        candidates=Candidates(torch.cat([target[:, None], negatives], 1)),
    )
    step = ToldStep(
        data=DataShape(num_items, {}),
        items=Items(torch.zeros(num_items + 1, 1), ids),
        users=SimpleNamespace(state=None),
        batch=batch,
        max_logits=0,  # each row's own are told
        rows=None,
        scores=lambda *_: logits,
        mask_duplicates=loss.mask_duplicates,
        padding_candidate=loss.padding_candidate,
    )
    return loss(step)["loss"]


def gradient(loss, logits):
    (found,) = torch.autograd.grad(loss, logits, retain_graph=True)
    return found


@pytest.mark.parametrize("path", cases(FOLDER, "gbce_"))
def test_gbce_of_its_authors(path):
    given, out, meta = arrays(path, "in"), arrays(path, "out"), arrays(path, "meta")
    logits, is_real = given["logits"].requires_grad_(), given["mask"].bool()
    num_items, t, count = int(meta["num_items"]), float(meta["t"]), logits.shape[-1] - 1
    target = torch.ones(int(is_real.sum()), dtype=torch.long)
    negatives = torch.full((len(target), count), min(2, num_items))

    def losses(**options):
        return losses_of(GBCE(t, **options), logits[is_real], target, negatives, num_items)

    found = losses(reference=True, mask_duplicates=False)
    assert float(GBCE(t).power(torch.tensor([float(count)], dtype=torch.float64), num_items)) == pytest.approx(
        float(out["beta"]), abs=1e-9
    )
    assert_equal(found, out["loss_per_element"][is_real], name="loss_per_element")
    assert_equal(found.mean(), out["loss"], name="loss")
    assert_equal(gradient(found.mean(), logits), arrays(path, "grad")["logits"], name="grad.logits")
    alternatives = arrays(path, "alt")
    if "loss_without_clamps" in alternatives:
        assert_equal(losses().mean(), alternatives["loss_without_clamps"], name="loss_without_clamps")


@pytest.mark.parametrize("path", cases(FOLDER, "losses_"))
def test_losses_of_rectools(path):
    given, out, grad = (arrays(path, kind) for kind in ("in", "out", "grad"))
    meta = arrays(path, "meta")
    logits, is_real = given["logits"].requires_grad_(), given["y"] != 0
    target, negatives = given["y"][is_real], given["negatives"][is_real]

    of_negatives = "popularity_of_negatives"

    def mean(loss):
        if isinstance(loss, SampledSoftmax) and loss.shares is not None:
            loss.shares.take(given["item_counts"])
        losses = losses_of(loss, logits[is_real], target, negatives, int(meta["n_items"]))
        # RecTools' softmaxes leave targets whose loss is exactly 0 out of the mean.
        is_theirs = (
            isinstance(loss, SampledSoftmax) and not loss.mask_duplicates and loss.correction != of_negatives
        )
        return losses.sum() / ((losses > 0).sum() if is_theirs else len(losses))

    for name in [one for one in out if one.startswith("beta_t")]:
        name = name.removeprefix("beta_")
        t = float(name.removeprefix("t"))
        found = mean(GBCE(t, mask_duplicates=False, reference=True))
        assert_equal(found, out[f"gbce_{name}"], name=name)
        assert_equal(gradient(found, logits), grad[f"logits_gbce_{name}"], name=f"grad of {name}")
        assert_equal(
            mean(GBCE(t, mask_duplicates=False)), out[f"gbce_{name}_no_clamps"], name=f"{name}, no clamps"
        )
    assert_equal(mean(BCE(mask_duplicates=False)), out["bce"], name="bce")
    assert_equal(mean(SampledSoftmax(mask_duplicates=False)), out["sampled_softmax"], name="sampled_softmax")
    assert_equal(mean(SampledSoftmax()), out["sampled_softmax_hits_removed"], name="hits removed")
    logq = SampledSoftmax(correction="popularity", mask_duplicates=False)
    found = mean(logq)
    assert_equal(found, out["sampled_softmax_logq"], name="logq")
    assert_equal(gradient(found, logits), grad["logits_sampled_softmax_logq"], name="grad of logq")
    assert_equal(logq.shares.log_share.exp(), out["sampling_probs"], name="sampling_probs")
    candidates = torch.cat([given["y"][..., None], given["negatives"]], -1)[is_real]
    corrected = less_log_q(logits[is_real], logq.shares.log_share[candidates])
    assert_equal(corrected, out["logits_logq"][is_real], name="logits_logq")
    negatives_only = SampledSoftmax(correction=of_negatives, mask_duplicates=False)
    assert_equal(mean(negatives_only), out["sampled_softmax_logq_negatives_only"], name="logq of negatives")
    both = SampledSoftmax(correction="popularity")
    assert_equal(mean(both), out["sampled_softmax_logq_hits_removed"], name="logq, hits removed")
