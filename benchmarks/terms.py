"""What a term would add to a score, before anybody builds a scorer: linear models of validation users.

    python benchmarks/terms.py data=movies_comedy paths.data_dir=DATA             # beside simple statistics
    python benchmarks/terms.py data=movies_comedy paths.data_dir=DATA ckpt=FILE   # beside a network's own parts

Statistics are of the training parts, rows are validation users (a sample where they are more than 1,200 without a
network, 3,000 with one). A softmax over all items outside of the history is fitted to the targets of one half of
the users and ranks those of the other, and the other way round. `alone` and `union`: the share of targets among
the 50 best of each term, and of all terms so far, which no ranking of the same candidates passes. History excluded
strictly; no test target is read.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from missrec_pl.baselines import Context, HeldOut
from missrec_pl.baselines.lambdamart import LambdaMART
from missrec_pl.data.splits import EvaluationRows
from missrec_pl.experiment import building, comparison
from missrec_pl.experiment.rebuilding import rebuilt
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.contract import Histories, Users
from missrec_pl.nn.encoding import encode_users

ROOT = Path(__file__).resolve().parents[1]
MOST, MOST_WITH_NETWORK = 1200, 3000
GAIN, RIDGE, STEPS, BLOCK = 20.0, 1.0, 30, 512
NAMES = ("ease .6", "ease .8", "pairs .6", "pairs .8", "content sum", "content max", "words max")


class Terms:
    """Scores ``[B, N]`` of validation users by name, and what they are ranked by."""

    def __init__(self, data: object, rows: HeldOut) -> None:
        histories, target = rows.block(0, len(rows), data.num_items)
        trees = Context(data).get("lambdamart")
        assert isinstance(trees, LambdaMART)
        trees.fit(data)
        found = [torch.from_numpy(one.toarray().astype(np.float32)) for one in trees._statistics(histories)]
        self.scores = dict(zip(NAMES, found, strict=True))
        for name in NAMES[:4]:
            self.scores[name] = (GAIN * self.scores[name].clamp_min(0)).log1p()
        counts = torch.from_numpy(data.counts()).float().log1p()
        self.scores["popularity"] = counts.expand(len(rows), -1)
        newest = counts[torch.from_numpy(histories.items[histories.offsets[1:] - 1] - 1).long()]
        length = torch.from_numpy(np.diff(histories.offsets)).float().log1p()
        for name, gate in (("x length", length), ("x newest", newest)):
            self.scores[f"popularity {name}"] = ((gate - gate.mean()) / gate.std())[:, None] * counts
        self.target = torch.from_numpy(target.astype(np.int64))
        self.seen = torch.from_numpy(histories.rivals(np.full(len(rows), -1)).toarray() > 0)
        self.is_repeat = self.seen.gather(1, self.target[:, None])[:, 0]
        self.half = torch.from_numpy(np.random.default_rng(1).permutation(len(rows)) % 2)

    def ranked(self, names: Iterable[str]) -> Tensor:
        """``[B]`` ranks of the targets by the model of these terms that the other half was fitted to."""
        terms = [score / score[:200].std().clamp_min(1e-6) for score in map(self.scores.__getitem__, names)]
        total = torch.zeros_like(terms[0])
        for half in (0, 1):
            fitted, asked = (self.half != half) & ~self.is_repeat, self.half == half
            weights = self._weights(torch.stack([term[fitted] for term in terms]), fitted)
            total[asked] = torch.einsum("k,kbn->bn", weights, torch.stack([term[asked] for term in terms]))
        total.masked_fill_(self.seen, float("-inf"))
        own = total.gather(1, self.target[:, None])
        ranks = 1 + (total > own).sum(1) + ((total == own).sum(1) - 1) / 2
        return ranks.masked_fill(self.is_repeat, float("inf"))

    def _weights(self, terms: Tensor, fitted: Tensor) -> Tensor:
        weights = torch.zeros(len(terms)).index_fill(0, torch.tensor(0), 1.0).requires_grad_()
        optimizer = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            logits = (weights @ terms.flatten(1)).view(terms.shape[1:]).masked_fill(self.seen[fitted], -1e9)
            value = torch.nn.functional.cross_entropy(logits, self.target[fitted], reduction="sum")
            value = value + RIDGE * weights.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        return weights.detach()

    def unions(self) -> None:
        """How many targets the best 50 of each term hold, and those of all terms so far."""
        union = torch.zeros_like(self.seen)
        for name, scores in self.scores.items():
            best = scores.masked_fill(self.seen, float("-inf")).topk(50).indices
            here = torch.zeros_like(union).scatter_(1, best, True)
            union |= here
            alone, every = (float(one.gather(1, self.target[:, None]).float().mean()) for one in (here, union))
            print(f"{name:24}  alone {alone:.4f}  union {every:.4f} of {union.sum(1).float().mean():.0f}")


@torch.no_grad()
def parts_of(module: TrainingModule, histories: Histories) -> dict[str, Tensor]:
    """``[B, N]`` what a network and each of its scorers add to the logits."""
    items = module.encode_catalogue(module.trainer.datamodule.catalogue)
    candidates, found = items.span(1), []
    for start in range(0, len(histories), BLOCK):
        block = histories.cut(slice(start, start + BLOCK))
        state = encode_users(module.model, block, items).state
        parts = {"network": module.model.score(Users(state), candidates) / module.loss.eval_temperature}
        found.append(parts | {name: one(block, items, candidates) for name, one in module.scorers.items()})
    return {name: torch.cat([one[name] for one in found]) for name in found[0] if name != "seen"}


def main() -> None:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=["paths.output_dir=/nowhere", "features=memmap", *sys.argv[1:]])
    stored = None if cfg.ckpt is None else rebuilt(Path(cfg.ckpt), data_dir=Path(cfg.paths.data_dir))
    datamodule = building.build_datamodule(cfg) if stored is None else stored.datamodule
    sequences, width = datamodule.sequences, cfg.data.max_history
    rows, most = sequences.validation, MOST if stored is None else MOST_WITH_NETWORK
    if len(rows) > most:
        rows = rows.take(np.sort(np.random.default_rng(0).choice(len(rows), most, replace=False)))
    terms = Terms(comparison._data(datamodule, sequences), comparison._held_out(sequences, rows, width))
    base = ["pairs .8", "content sum"]
    if stored is not None:
        terms.scores = parts(stored, rows, width) | terms.scores
        base = [name for name in terms.scores if name not in (*NAMES,) and "popularity" not in name]
    gated = ["popularity", "popularity x length", "popularity x newest"]
    added = [[], *([name] for name in NAMES if name not in base), gated[:1], gated[:2], gated]
    for names in [*added, ["words max", *gated[:1]], ["words max", *gated[:2]], ["words max", *gated]]:
        ranks = terms.ranked([*base, *names])
        gains = [torch.where(ranks <= k, 1 / (1 + ranks).log2(), 0.0).mean() for k in (10, 50)]
        hits = [(ranks <= k).float().mean() for k in (10, 50)]
        figures = "  ".join(f"{float(one):.4f}" for one in (hits[0], gains[0], hits[1], gains[1]))
        print(f"{' + '.join([', '.join(base), *names]):100}  {figures}", flush=True)
    terms.unions()


def parts(stored: object, rows: EvaluationRows, width: int) -> dict[str, Tensor]:
    """What the network of a checkpoint and its scorers say of validation users."""
    module, datamodule = stored.module, stored.datamodule
    history, length, _ = datamodule.sequences.windows(rows.user, rows.target, width)
    module.trainer = type("Trainer", (), {"datamodule": datamodule})()
    return parts_of(module, Histories(torch.from_numpy(history), torch.from_numpy(length)))


if __name__ == "__main__":
    main()
