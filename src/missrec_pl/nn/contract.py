"""The seam: everything that a run needs to know of a network, so that a new one is one file and one YAML file.

A network says what it reads, encodes items and histories, and scores. The framework brings the data, picks the
places that have a target, adds auxiliary scorers, takes the loss, evaluates, saves and transfers.
`docs/extending.md` has the recipe, `missrec_pl.testing.check_recommender` the tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from missrec_pl.data.examples import Example
from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError
from missrec_pl.nn.fitted import Fitted
from missrec_pl.nn.items import Items as Items

Reads = Literal["ids", "features", "attributes", "timestamps"]


class DataShape:
    """What sizes of the data a network is built for.

    No dataclass: Hydra would turn one into a config on its way to the network.

    Args:
        num_items: number ``N`` of real items of all domains; their ids are 1..N.
        feature_dims: feature width ``F`` of each modality, in the order of the modality axis ``M``.
        num_present: number of items that have each modality; None: all have all.
        attributes: number of values of each attribute field.
        max_history: longest history ``L``.
        num_folds: cross-fitting folds of users; 0 where nothing can be fitted by folds (pre-training).
    """

    def __init__(
        self,
        num_items: int,
        feature_dims: Mapping[str, int],
        num_present: Mapping[str, int] | None = None,
        attributes: Mapping[str, int] | None = None,
        max_history: int = 50,
        num_folds: int = 0,
    ) -> None:
        self.num_items = num_items
        self.feature_dims = dict(feature_dims)
        self.num_present = dict.fromkeys(feature_dims, num_items) if num_present is None else dict(num_present)
        self.attributes = dict(attributes or {})
        self.max_history = max_history
        self.num_folds = num_folds

    @property
    def num_tokens(self) -> int:
        """Item tokens that exist: one for each item and modality that it has."""
        return sum(self.num_present.values())

    def changed(self, **changes: Any) -> DataShape:
        """The same sizes, but for some."""
        return DataShape(**{**vars(self), **changes})

    def __repr__(self) -> str:
        return f"DataShape({', '.join(f'{name}={value}' for name, value in vars(self).items())})"


@dataclass(frozen=True)
class ItemInputs:
    """The items that a network encodes. Row 0 is always the padding item.

    Attributes:
        table: ids, which modalities are missing, and features of the rows that have them.
        fold: the cross-fitting fold of the users who read these items; None for all users, as in evaluation.
    """

    table: ItemTable
    fold: int | None = None

    @property
    def ids(self) -> Tensor:
        """``[U]`` global item ids."""
        return self.table.ids

    @property
    def is_missing(self) -> Tensor:
        """``[U, M]``, True where an item lacks a modality, and for padding."""
        return self.table.is_missing

    def present(self, modality: str) -> tuple[Tensor, Tensor]:
        """The rows ``[P]`` that have a modality, ascending, and their features ``[P, F]``."""
        return self.table.rows[modality], self.table.features[modality]

    def dense(self, modality: str) -> Tensor:
        """``[U, F]`` features of all rows; zeros where the modality is missing."""
        rows, features = self.present(modality)
        return features.new_zeros(len(self.ids), features.shape[1]).index_copy(0, rows, features)

    def attributes(self, name: str) -> Tensor:
        """``[U, V]`` value numbers of an attribute field, 0 = none.

        Raises:
            ConfigError: the data has no such field.
        """
        if name not in self.table.attributes:
            known = ", ".join(self.table.attributes) or "none"
            raise ConfigError(f"attribute {name!r}: the data has {known}; prepare it with that column.")
        return self.table.attributes[name]


@dataclass(frozen=True)
class Histories:
    """What users have met before their targets.

    Attributes:
        rows: ``[B, L]`` rows of the items, chronological, right-padded with 0.
        length: ``[B]`` number of places that count, masked ones included.
        is_masked: ``[B, L]``, True where an item is hidden (its row is 0); None where nothing is.
        future: ``[B, W]`` global ids that the user's training part holds from the target on, right-padded with 0;
            None in evaluation.
        times: ``[B, L + 1]`` seconds; place ``length`` holds the time of the request, in training of the next
            item.
        plans: what the loader has found of these histories, by name; see :mod:`missrec_pl.data.plans`.
    """

    rows: Tensor
    length: Tensor
    is_masked: Tensor | None = None
    future: Tensor | None = None
    times: Tensor | None = None
    plans: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_padding(self) -> Tensor:
        """``[B, L]``, True behind the end of a history."""
        return torch.arange(self.rows.shape[1], device=self.rows.device) >= self.length[:, None]

    def cut(self, rows: Tensor | slice, width: int | None = None) -> Histories:
        """Some of the histories, padded to ``width`` places."""
        return Histories(
            self.rows[rows, :width],
            self.length[rows],
            None if self.is_masked is None else self.is_masked[rows, :width],
            None if self.future is None else self.future[rows],
            None if self.times is None else self.times[rows, : None if width is None else width + 1],
        )


@dataclass(frozen=True)
class Users:
    """Encoded histories.

    Attributes:
        state: ``[B, D]`` for the next item, or ``[B, L, D]`` for a target at every place.
        extra: further tensors ``[B, ...]`` by name, for a loss that knows them.
    """

    state: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)


class Recommender(nn.Module, ABC):
    """A network that the framework can train, evaluate and serve.

    A leaf takes ``(data: DataShape, *, options)``; its options are the keys of ``configs/model/<name>.yaml``.

    Attributes:
        reads: what the loader has to bring; an instance may narrow it.
        example: the training examples that the network is made for. ``prefix``: a target a row; ``shifted``: one
            at every place, so that a sequence takes one causal pass; ``cloze``: at hidden places, and where
            nothing is hidden (evaluation, prefixes) at one behind the history.
        item_bound: prefixes of weights and buffers that belong to the catalogue: ``ckpt=`` on other items leaves
            them behind.
        adapters: prefixes that ``finetune=adapters`` trains after ``ckpt=``; empty: everything trains.
        may_differ: prefixes that a network may have or lack beside its architecture: after ``ckpt=`` they start
            fresh, or are left.
        by_modality: weights and buffers with one entry or column for each modality, in the order of ``M``.
        decides: options that decide what weights mean and that no weight's shape tells: ``ckpt=`` refuses others.
        depends_on_padding: True where the padding of a batch changes what is computed.
        fitted: parts that are fitted to the training data instead of learned.
    """

    reads: frozenset[Reads] = frozenset({"ids"})
    example: Example = "prefix"
    item_bound: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    may_differ: ClassVar[tuple[str, ...]] = ()
    by_modality: ClassVar[tuple[str, ...]] = ()
    decides: tuple[str, ...] = ()
    depends_on_padding: bool = False
    fitted: nn.ModuleDict

    def __init__(self) -> None:
        super().__init__()
        self.fitted = nn.ModuleDict()

    @abstractmethod
    def encode_items(self, inputs: ItemInputs) -> Items:
        """Encode items ``[U]``, the padding item of row 0 among them; a row must not depend on other rows."""

    @abstractmethod
    def encode_histories(self, history: Histories, items: Items) -> Users:
        """Encode histories whose ``rows`` refer to ``items``; padding must not change what is encoded."""

    def score(self, users: Users, items: Items) -> Tensor:
        """Scores of candidates before the temperature; by default inner products.

        Args:
            users: ``state [R, D]``, a row a target.
            items: candidates that all rows share, ``[C, ...]``, or each row's own, ``[R, K, ...]``.

        Returns:
            ``[R, C]`` or ``[R, K]``.
        """
        if items.ids.dim() == 1:
            return users.state @ items.vectors.T
        return torch.bmm(items.vectors, users.state[:, :, None])[:, :, 0]

    def index_tables(self, items: Items) -> Mapping[str, Tensor]:
        """Vectors ``[C, D]`` of candidates by name, for an index of large catalogues when the network is served.

        The inner products of the first table with :meth:`index_query` are the scores, or near them; those of
        further tables, in which a row of zeros is no vector, single out candidates that the first may miss. A
        table ``[C, D + 1]`` has what is added to the inner product in its last column. Empty, as by default where
        :meth:`score` is overridden: the network is served without an index.
        """
        return {"items": items.vectors} if type(self).score is Recommender.score else {}

    def index_query(self, state: Tensor) -> Tensor:
        """``[R, D]`` what user states ``[R, D]`` are looked up by."""
        return state

    def compiled_parts(self) -> list[nn.Module]:
        """What ``compile=true`` compiles: by default the modules called ``encoder`` and ``decoder``."""
        return [part for name, part in self.named_children() if name in ("encoder", "decoder")]

    def fitted_parts(self) -> list[Fitted]:
        """The fitted parts, in the order of their names' registration."""
        return [part for part in self.fitted.values() if isinstance(part, Fitted)]
