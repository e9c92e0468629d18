import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from tiny_fit import NUM_PROTOTYPES, make_module

from missrec_pl.callbacks import InterestRefresh
from missrec_pl.clustering import ClusterResult, dpc_knn
from missrec_pl.clustering.methods import DPCKNN, KMeans, NoInterests, RandomTokens
from missrec_pl.nn.missrec.collaborative import CollaborativeVectors
from missrec_pl.nn.scorers.content import WhitenedVectors
from missrec_pl.nn.scorers.cooccurrence import PairCounts


class Spy:
    """DPC-KNN that remembers what it was given."""

    is_sharded, modality_by_modality = False, False

    def __init__(self):
        self.calls = []

    def __call__(self, tokens, num_prototypes, seed):
        self.calls.append((tokens.clone(), num_prototypes, seed))
        return DPCKNN(k=3, backend="dense")(tokens, num_prototypes, seed)


class Told:
    """Assigns tokens as it is told, refresh after refresh."""

    is_sharded, modality_by_modality = False, False

    def __init__(self, *assignments):
        self.assignments = list(assignments)

    def __call__(self, tokens, num_prototypes, seed):
        assignment = torch.tensor(self.assignments.pop(0))
        assert len(tokens) == len(assignment)
        return ClusterResult(assignment, torch.rand(num_prototypes, tokens.shape[1]), inertia=0.0)


class Watch(L.Callback):
    """Notes the number of refreshes whenever something looks interests up."""

    def __init__(self):
        self.seen = []

    def on_validation_batch_start(self, trainer, pl_module, *_):
        self.seen.append(
            ("sanity" if trainer.sanity_checking else "val", int(pl_module.model.interests.num_refreshes))
        )

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.seen.append((trainer.current_epoch, int(pl_module.model.interests.num_refreshes)))


class Alone:
    """A trainer of one process."""

    def __init__(self, datamodule):
        self.datamodule = datamodule


@pytest.fixture
def refreshed(datamodule):
    def refresh(callback, module):
        module.trainer = Alone(datamodule)
        return callback.refresh(module.trainer, module)

    return refresh


def test_missing_tokens_take_no_part_and_keep_interest_0(datamodule, refreshed):
    spy, catalogue = Spy(), datamodule.catalogue
    module = make_module(datamodule, spy)
    refreshed(InterestRefresh(seed=3), module)
    ((tokens, num_prototypes, seed),) = spy.calls
    assert (len(tokens), num_prototypes, seed) == (int((~catalogue.is_missing).sum()), NUM_PROTOTYPES, 3)
    assert int((~catalogue.is_missing).sum()) < 2 * catalogue.num_items
    table = module.model.interests
    assert (table.assignment[catalogue.is_missing] == 0).all()
    assert (table.assignment[~catalogue.is_missing] > 0).all()
    items = module.encode_catalogue()
    torch.testing.assert_close(tokens, items.vectors[~catalogue.is_missing])
    found = dpc_knn(tokens, NUM_PROTOTYPES, 3, backend="dense")
    torch.testing.assert_close(table.prototypes[1:], found.prototypes)
    assert table.prototypes[0].abs().max() == 0
    assert torch.equal(table.assignment[~catalogue.is_missing], found.assignment + 1)
    assert not table.prototypes.requires_grad


def test_tokens_do_not_depend_on_the_chunks(datamodule, refreshed, monkeypatch):
    spy = Spy()
    module = make_module(datamodule, spy)
    refreshed(InterestRefresh(), module)
    monkeypatch.setattr("missrec_pl.modules.training.EMBED_CHUNK", 7)
    refreshed(InterestRefresh(), module)
    torch.testing.assert_close(spy.calls[0][0], spy.calls[1][0])


@pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3, 4]), (2, [1, 1, 2, 2]), (3, [1, 1, 1, 2])])
def test_refreshes_before_every_nth_epoch(datamodule, make_trainer, every, expected):
    watch, refresh = Watch(), InterestRefresh()
    trainer = make_trainer(refresh, watch, max_epochs=4, limit_val_batches=0, limit_train_batches=1)
    trainer.fit(make_module(datamodule, Spy(), every), datamodule=datamodule)
    assert watch.seen == list(enumerate(expected))
    assert len(refresh.seconds) == expected[-1]
    assert all(seconds > 0 for seconds in refresh.seconds)


def test_the_sanity_validation_finds_a_table(datamodule, make_trainer):
    watch = Watch()
    trainer = make_trainer(InterestRefresh(), watch, max_epochs=1, limit_train_batches=1, num_sanity_val_steps=1)
    trainer.fit(make_module(datamodule, Spy()), datamodule=datamodule)
    assert watch.seen == [("sanity", 1), (0, 2), ("val", 2)]


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_zero_shot_evaluation_finds_a_table_and_a_filled_one_stays(datamodule, make_trainer, stage):
    refresh, module = InterestRefresh(), make_module(datamodule, Spy())
    evaluate = getattr(make_trainer(refresh), stage)
    evaluate(module, datamodule=datamodule, verbose=False)
    prototypes = module.model.interests.prototypes.clone()
    assert prototypes.abs().sum() > 0
    evaluate(module, datamodule=datamodule, verbose=False)
    assert len(refresh.seconds) == 1
    assert torch.equal(module.model.interests.prototypes, prototypes)


@pytest.fixture
def fits(monkeypatch):
    """The parts that are fitted once, as they are."""
    found = []
    for kind in (PairCounts, WhitenedVectors, CollaborativeVectors):

        def counting(part, context, kind=kind, fit=kind.fit):
            found.append(kind.__name__)
            return fit(part, context)

        monkeypatch.setattr(kind, "fit", counting)
    return found


ONCE = ["CollaborativeVectors", "PairCounts", "WhitenedVectors", "WhitenedVectors"]


def test_what_is_fitted_once_is_fitted_before_training_and_where_a_checkpoint_did_not_bring_it(
    datamodule, make_trainer, fits, tmp_path
):
    def tuned():
        return make_module(datamodule, scorers=("seen", "cooccurrence", "content"), collaborative=3)

    datamodule.choose(with_folds=True)
    trainer, module = make_trainer(InterestRefresh(), max_epochs=2), tuned()
    trainer.fit(module, datamodule=datamodule)
    assert fits == ONCE
    assert not any(part.is_empty for part in module.fitted_parts)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    (tested,) = trainer.test(module, datamodule=datamodule, verbose=False)
    assert fits == ONCE
    fits.clear()
    again = tuned()
    again.load_state_dict(torch.load(tmp_path / "run.ckpt", weights_only=True)["state_dict"])
    refresh = InterestRefresh()
    (same,) = make_trainer(refresh).test(again, datamodule=datamodule, verbose=False)
    assert fits == ONCE[1:]  # the vectors of all users came with the checkpoint, and the interests
    assert refresh.seconds == []
    assert same == tested


def assignment_of(datamodule, *sizes):
    flat = [prototype for prototype, size in enumerate(sizes) for _ in range(size)]
    rest = int((~datamodule.catalogue.is_missing).sum()) - len(flat)
    return flat + [4] * rest, rest


def test_health_counts_prototypes(datamodule, refreshed):
    assignment, rest = assignment_of(datamodule, 1, 3, 0, 1)
    health = refreshed(InterestRefresh(), make_module(datamodule, Told(assignment)))
    assert health.pop("interest/seconds") > 0
    sizes = np.array([1, 3, 1, rest]) / (5 + rest)
    assert health.pop("interest/entropy") == pytest.approx(-(sizes * np.log2(sizes)).sum(), rel=1e-5)
    assert health == {"interest/used": 4, "interest/largest": rest, "interest/singletons": 2}


def test_reassigned_is_blind_to_numbers_and_sees_moves(datamodule, refreshed):
    total = int((~datamodule.catalogue.is_missing).sum())
    first, _ = assignment_of(datamodule, 5, 6, 7, 8)
    renumbered = [(prototype + 2) % NUM_PROTOTYPES for prototype in first]
    moved = renumbered.copy()
    moved[0], moved[5] = moved[5], moved[0]  # one token of prototype 0 and one of prototype 1 change places
    callback, module = InterestRefresh(), make_module(datamodule, Told(first, first, renumbered, moved))
    healths = [refreshed(callback, module) for _ in range(4)]
    assert "interest/reassigned" not in healths[0]
    assert [health["interest/reassigned"] for health in healths[1:]] == pytest.approx([0, 0, 2 / total])


def test_health_is_logged_every_refresh(datamodule, make_trainer, tmp_path):
    refresh, logger = InterestRefresh(), CSVLogger(tmp_path)
    trainer = make_trainer(refresh, max_epochs=2, limit_train_batches=1, limit_val_batches=0, logger=logger)
    trainer.fit(make_module(datamodule, Spy()), datamodule=datamodule)
    logged = {
        name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("interest/")
    }
    assert set(logged) == {
        f"interest/{name}" for name in ("used", "largest", "singletons", "entropy", "reassigned", "seconds")
    }
    assert logged["interest/seconds"] == pytest.approx(refresh.seconds[-1], rel=1e-4)
    assert 1 <= logged["interest/used"] <= NUM_PROTOTYPES


@pytest.mark.parametrize(
    "method", [DPCKNN(k=3), DPCKNN(k=0.1, prototype="mean"), KMeans(), RandomTokens(), NoInterests()]
)
def test_every_method_fills_a_table_and_repeats_itself(datamodule, refreshed, method):
    tables = []
    for _ in range(2):
        module = make_module(datamodule, method)
        refreshed(InterestRefresh(seed=4), module)
        tables.append(module.model.interests)
    assert torch.equal(tables[0].assignment, tables[1].assignment)
    assert torch.equal(tables[0].prototypes, tables[1].prototypes)
    used = tables[0].assignment[~datamodule.catalogue.is_missing].unique()
    assert used.min() >= 1
    assert (used.numel() == 1) == isinstance(method, NoInterests)


@pytest.mark.parametrize("total", [1, 2, 9, 16, 17])
def test_few_tokens_have_fewer_neighbours_than_k_and_the_log_says_so_once(total, caplog):
    caplog.set_level("INFO")
    tokens, method = torch.randn(total, 4, generator=torch.Generator().manual_seed(0)), DPCKNN(backend="dense")
    for _ in range(2):
        found = method(tokens, 1, 0)
        assert torch.equal(found.prototypes, dpc_knn(tokens, 1, max(total - 1, 1), backend="dense").prototypes)
    lines = [line for line in caplog.messages if "interest.method.k" in line]
    said = f"interest.method.k=16: {total} tokens have no more than {max(total - 1, 1)} neighbours"
    assert lines == ([said] if total < 17 else [])


@pytest.mark.parametrize("method", [KMeans(), RandomTokens()])
def test_the_seed_drives_what_is_random(method):
    tokens = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    one, other = (method(tokens, 5, seed).prototypes for seed in (0, 1))
    assert not torch.equal(one, other)
