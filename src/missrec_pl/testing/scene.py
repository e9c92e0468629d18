"""Small generated data, and a network on it, for the contract's suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from missrec_pl.data.synthetic import SyntheticDomains
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Softmax
from missrec_pl.modules import TrainingModule
from missrec_pl.modules.histories import with_masked_place
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender
from missrec_pl.nn.encoding import encode_users
from missrec_pl.nn.fitted import FittingContext, refit
from missrec_pl.system.processes import Share

MakeNetwork = Callable[..., Recommender]

_DIMS, _MISSING = {"text": 7, "image": 5}, {"text": 0.1, "image": 0.4}
_SIZES: dict[str, Any] = {
    **{"num_users": 40, "num_items": 30, "num_interests": 3, "min_length": 4, "max_length": 9},
    "attributes": True,
}


def small_data(folder: Path, **options: Any) -> DomainDataModule:
    """A data module on one generated domain: 30 items; some lack the text, more the image or attributes."""
    source = SyntheticDomains(folder, num_domains=1, dims=_DIMS, missing=_MISSING, **_SIZES)
    chosen: dict[str, Any] = {"batch_size": 16, "max_history": 6, "num_folds": 3, **options}
    data = DomainDataModule(source, **chosen)
    data.prepare_data()
    data.setup()
    return data


class Scene:
    """A network on small data, in eval mode, its fitted parts fitted; every weight is large, so that all paths
    count.

    Args:
        make: makes the network.
        options: what it is made with, beside the data's sizes.
        data: the data.
    """

    def __init__(self, make: MakeNetwork, options: Mapping[str, Any], data: DomainDataModule) -> None:
        self.make, self.options, self.data = make, dict(options), data
        self.shape: DataShape = data.shape
        self.network = self.fresh()
        self.table = data.catalogue.whole(torch.device("cpu"))
        self._fit()
        self.histories = self._histories("timestamps" in self.network.reads)

    def fresh(self) -> Recommender:
        """A further network of the same kind, with weights of its own that are the same every time."""
        network = self.make(self.shape, **self.options)
        random = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.3 * torch.randn(weight.shape, generator=random))
        return network.eval()

    def items(self, network: Recommender | None = None, **changes: Any) -> Items:
        """All items, encoded."""
        return (network or self.network).encode_items(ItemInputs(changes.pop("table", self.table), **changes))

    def state(self, histories: Histories, items: Items, network: Recommender | None = None) -> Tensor:
        """``[B, D]`` the users of some histories, as evaluation encodes them."""
        network = network or self.network
        asked = with_masked_place(histories) if network.example == "cloze" else histories
        return encode_users(network, asked, items).state

    def module(self, network: Recommender | None = None) -> TrainingModule:
        """The network in a Lightning module that trains it with plain SGD."""
        return TrainingModule(
            network or self.network, Softmax(), partial(torch.optim.SGD, lr=0.05), data=self.shape
        )

    def _histories(self, with_times: bool) -> Histories:
        """A dozen test histories; with the times of the items and of the request."""
        sequences, width = self.data.sequences, self.data.max_history
        user, target = sequences.test.user[:12], sequences.test.target[:12]
        rows, length, _ = sequences.windows(user, target, width)
        times = None
        if with_times:
            self.data.choose(with_times=True)
            times = sequences.clock(user, target - length, length, target)
        return Histories(
            torch.from_numpy(rows),
            torch.from_numpy(length),
            times=None if times is None else torch.from_numpy(times),
        )

    def _fit(self) -> None:
        self.data.choose(with_folds=any(part.folds for part in self.network.fitted_parts()))
        context = FittingContext(
            catalogue=self.data.catalogue,
            training_parts=self.data.sequences.training_parts,
            fold_of_user=self.data.fold_of_user,
            items=lambda: iter([self.items()]),
            seed=0,
            share=Share(),
        )
        for part in self.network.fitted_parts():
            refit(part, context)
