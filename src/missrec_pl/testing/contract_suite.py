"""The contract of `nn/contract.py` as tests: what every network has to keep."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from missrec_pl.callbacks import InterestRefresh
from missrec_pl.nn.contract import Recommender, Users
from missrec_pl.serving.tensors import fill, own_tensors, without_memory
from missrec_pl.testing.scene import MakeNetwork, Scene, small_data

TWO_PROCESSES = "ddp_spawn"
"""How Lightning starts them: any program may have threads that a fork would not survive."""


class ContractError(AssertionError):
    """A network does not keep the contract; the message says which part and how."""


def check_recommender(
    network: MakeNetwork, options: Mapping[str, Any] | None = None, *, processes: bool = True
) -> None:
    """Run the contract's suite on a network.

    Args:
        network: the class, or what makes a network of ``(data: DataShape, **options)``; importable by name where
            ``processes`` are checked.
        options: its options; small sizes make it quick. Dropout should be 0 where ``processes`` are checked.
        processes: whether two processes are compared with one, which takes most of the time.

    Raises:
        ContractError: it breaks the contract.
    """
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(network, options or {}, small_data(Path(folder)))
        for check in _CHECKS:
            check(scene)
        if processes:
            _two_processes_are_one(scene, Path(folder))


def _shapes(scene: Scene) -> None:
    items, count = scene.items(), len(scene.table.ids)
    _require(len(items.vectors) == count, f"encode_items gives {len(items.vectors)} vectors of {count} items")
    _require(torch.equal(items.ids, scene.table.ids), "encode_items changes the ids, or their order")
    for name, extra in items.extra.items():
        _require(len(extra) == count, f"Items.extra[{name!r}] has {len(extra)} rows of {count} items")
    users = scene.network.encode_histories(scene.histories, items)
    rows = tuple(scene.histories.rows.shape)
    _require(
        tuple(users.state.shape[:-1]) in (rows[:1], rows),
        f"encode_histories gives a state {tuple(users.state.shape)} of histories {rows}",
    )
    needs_places = scene.network.example != "prefix"
    _require(
        users.state.dim() == 3 or not needs_places, f"example={scene.network.example!r} needs a state a place"
    )
    state, candidates = scene.state(scene.histories, items), items.span(1)
    shared = scene.network.score(Users(state), candidates)
    _require(
        shared.shape == (len(state), len(candidates.ids)), f"score gives {tuple(shared.shape)} of shared items"
    )
    chosen = torch.randint(len(candidates.ids), (len(state), 5), generator=torch.Generator().manual_seed(1))
    own = scene.network.score(Users(state), candidates.take(chosen))
    _close(own, shared.gather(1, chosen), "scores of each row's own candidates are not those of shared ones")


def _items_alone_are_items_together(scene: Scene) -> None:
    together = scene.items()
    for rows in ([0, 3], [0, 5, 2, 9]):
        table = scene.data.catalogue.table(torch.tensor(rows))
        alone = scene.items(table=table)
        _close(alone.vectors, together.vectors[rows], "an item is encoded otherwise beside other items")


def _padding_changes_nothing(scene: Scene) -> None:
    if scene.network.depends_on_padding:
        return
    items = scene.items()
    wanted = scene.state(scene.histories, items)
    for row in range(len(scene.histories)):
        alone = scene.histories.cut(slice(row, row + 1), int(scene.histories.length[row]))
        _close(
            scene.state(alone, items), wanted[row : row + 1], "padding, or another history of the batch, matters"
        )


def _scores_come_in_chunks(scene: Scene) -> None:
    candidates = scene.items().span(1)
    users = Users(scene.state(scene.histories, scene.items()))
    parts = [scene.network.score(users, candidates.span(at, at + 7)) for at in range(0, len(candidates.ids), 7)]
    _close(torch.cat(parts, 1), scene.network.score(users, candidates), "a score depends on the other candidates")


def _gradients_reach_what_trains(scene: Scene) -> None:
    network, items = scene.network, scene.items()
    scores = network.score(Users(scene.state(scene.histories, items)), items.span(1))
    network.zero_grad()
    (scores * torch.linspace(-1, 2, scores.numel()).view_as(scores)).sum().backward()
    for name, weight in network.named_parameters():
        _require(
            weight.grad is not None or not weight.requires_grad,
            f"no gradient reaches {name}: use it, or freeze it",
        )
    network.zero_grad()


def _saved_is_loaded(scene: Scene) -> None:
    other = scene.fresh()
    unsaved = {n: b for n, b in scene.network.named_buffers() if n not in scene.network.state_dict()}
    other.load_state_dict(scene.network.state_dict())
    for name, buffer in unsaved.items():  # what is fitted again wherever a checkpoint is used
        owner, _, leaf = name.rpartition(".")
        setattr(other.get_submodule(owner), leaf, buffer)
    _close(_scores(scene, other), _scores(scene, scene.network), "a loaded network scores otherwise")


def _served_is_the_network(scene: Scene) -> None:
    """As bundles do it: a network without memory, then weights and buffers in their places."""
    with without_memory():
        other = scene.make(scene.shape, **scene.options)
    try:
        fill(other, own_tensors(scene.network), "a bundle")
        found = _scores(scene, other.eval())
    except Exception as error:
        raise ContractError(f"a bundle cannot hold it: {' '.join(str(error).split())}") from error
    _close(found, _scores(scene, scene.network), "served from its weights and buffers alone it scores otherwise")


def _reads_what_it_declares(scene: Scene) -> None:
    wanted, reads = _scores(scene, scene.network), scene.network.reads
    random = torch.Generator().manual_seed(2)
    features = {
        name: rows + torch.randn(rows.shape, generator=random) for name, rows in scene.table.features.items()
    }
    moved = _scores(scene, scene.network, table=replace(scene.table, features=features))
    _same_as_declared(moved, wanted, "features", reads)
    if (times := scene.histories.times) is not None:
        slower = replace(scene.histories, times=times[:, :1] + 1000 * (times - times[:, :1]))
        items = scene.items()
        moved = scene.network.score(Users(scene.state(slower, items)), items.span(1))
        _same_as_declared(moved, wanted, "timestamps", reads)
    attributes = {  # each item has those of the one before it
        name: torch.cat([values[:1], values[1:].roll(1, 0)]) for name, values in scene.table.attributes.items()
    }
    moved = _scores(scene, scene.network, table=replace(scene.table, attributes=attributes))
    _same_as_declared(moved, wanted, "attributes", reads)
    known = {"ids", "features", "attributes", "timestamps"}
    _require(reads <= known, f"reads={sorted(reads)}: choose among {sorted(known)}")
    if "ids" not in reads and not scene.network.fitted_parts():  # the same content under other ids
        order = torch.cat(
            [torch.zeros(1, dtype=torch.long), 1 + torch.randperm(scene.shape.num_items, generator=random)]
        )
        table = replace(scene.table, ids=order)
        _close(_scores(scene, scene.network, table=table), wanted, "it reads ids and does not declare them")


def _places_see_the_past_alone(scene: Scene) -> None:
    if scene.network.example != "shifted":
        return
    items, histories = scene.items(), scene.histories
    states = scene.network.encode_histories(histories, items).state
    changed = histories.rows.clone()
    last = histories.length - 1
    changed.scatter_(1, last[:, None], changed.gather(1, last[:, None]) % scene.shape.num_items + 1)
    moved = scene.network.encode_histories(replace(histories, rows=changed), items).state
    is_before = torch.arange(states.shape[1]) < last[:, None]
    _close(moved[is_before], states[is_before], "a place sees what comes after it")


def _two_processes_are_one(scene: Scene, folder: Path) -> None:
    """A short training by two processes ends with the weights of one."""
    weights = []
    for devices in (1, 2):
        torch.manual_seed(0)
        module = scene.module(scene.fresh().train())
        data = small_data(folder)
        data.choose(
            candidates="all",
            num_negatives=10,
            example=module.model.example,
            with_times="timestamps" in module.model.reads,
            with_folds=any(part.folds for part in module.fitted_parts),
        )
        trainer = L.Trainer(
            accelerator="cpu",
            devices=devices,
            strategy="auto" if devices == 1 else TWO_PROCESSES,
            max_epochs=1,
            limit_train_batches=4,
            limit_val_batches=0,
            callbacks=[InterestRefresh()],
            use_distributed_sampler=False,
            default_root_dir=folder,
            **{f"enable_{name}": False for name in ("checkpointing", "progress_bar", "model_summary")},  # type: ignore[arg-type]
            logger=False,
        )
        trainer.fit(module, datamodule=data)
        weights.append(copy.deepcopy(module.model.state_dict()))
    for name, one in weights[0].items():
        _close(weights[1][name], one, f"two processes train {name} otherwise than one", tolerance=1e-4)


def _scores(scene: Scene, network: Recommender, **changes: Any) -> Tensor:
    items = scene.items(network, **changes)
    return network.score(Users(scene.state(scene.histories, items, network)), items.span(1))


def _same_as_declared(moved: Tensor, wanted: Tensor, what: str, reads: frozenset[Any]) -> None:
    is_same = torch.allclose(moved, wanted, atol=1e-5)
    if what in reads:
        _require(not is_same, f"it declares {what} and does not read them")
    else:
        _require(is_same, f"it reads {what} and does not declare them")


def _close(found: Tensor, wanted: Tensor, otherwise: str, tolerance: float = 1e-5) -> None:
    found, wanted = found.detach().float(), wanted.detach().float()
    is_close = torch.allclose(found, wanted, atol=tolerance, rtol=tolerance)
    largest = 0.0 if is_close else float((found - wanted).abs().max())
    _require(is_close, f"{otherwise} (by {largest:.2g})")


def _require(is_kept: bool, otherwise: str) -> None:
    if not is_kept:
        raise ContractError(otherwise)


_CHECKS: tuple[Callable[[Scene], None], ...] = (
    _shapes,
    _items_alone_are_items_together,
    _padding_changes_nothing,
    _scores_come_in_chunks,
    _gradients_reach_what_trains,
    _saved_is_loaded,
    _served_is_the_network,
    _reads_what_it_declares,
    _places_see_the_past_alone,
)
