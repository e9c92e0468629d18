"""Baselines by name, the way configs and results.json call them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from missrec_pl.baselines.base import Baseline, BaselineData
from missrec_pl.baselines.content import ContentKNN, LastItemKNN
from missrec_pl.baselines.cooccurrence import CooccurrenceKNN, HybridKNN
from missrec_pl.baselines.ease import EASE
from missrec_pl.baselines.lambdamart import LambdaMART
from missrec_pl.baselines.unpersonalised import Popularity, RandomBaseline
from missrec_pl.errors import ConfigError

_LAST_ITEM = "_knn"
"""``<modality>_knn`` is the last-item kNN of a modality."""


@dataclass(frozen=True)
class Options:
    """What a user may set.

    Attributes:
        seed: Of `random`. Keep it fixed over the runs of a study, so that all show the same baselines.
        max_ease_items: Trained items up to which `ease` inverts their matrix (8,000: a GiB, some 20 seconds).
    """

    seed: int = 0
    max_ease_items: int = 8000


class Context:
    """The baselines of one domain, each built once: those that another one is made of are shared with it."""

    def __init__(self, data: BaselineData, options: Options | None = None) -> None:
        self.data = data
        self.options = options if options is not None else Options()
        self._built: dict[str, Baseline] = {}

    def get(self, name: str) -> Baseline:
        """The baseline called ``name``, fitted or not; ConfigError if the domain has none."""
        if name not in self._built:
            check_names([name], self.data)
            factory = _FACTORIES.get(name) or _ON_REQUEST.get(name)
            self._built[name] = factory(self.data, self) if factory else LastItemKNN(name.removesuffix(_LAST_ITEM))
        return self._built[name]


BaselineFactory: TypeAlias = Callable[[BaselineData, Context], Baseline]
"""Builds an unfitted baseline from the data (what modalities there are) and its context."""

_FLOORS: dict[str, BaselineFactory] = {
    "random": lambda data, context: RandomBaseline(context.options.seed),
    "popularity": lambda data, context: Popularity(),
}
_FACTORIES: dict[str, BaselineFactory] = {
    **_FLOORS,
    "content_knn": lambda data, context: ContentKNN(),
    "cooccurrence_knn": lambda data, context: CooccurrenceKNN(),
    "ease": lambda data, context: EASE(context.options.max_ease_items),
    "hybrid_knn": lambda data, context: HybridKNN(context.get("content_knn"), context.get("cooccurrence_knn")),
}


def _trees(data: BaselineData, context: Context) -> Baseline:
    ease, pairs, content = (context.get(name) for name in ("ease", "cooccurrence_knn", "content_knn"))
    assert isinstance(ease, EASE)
    assert isinstance(pairs, CooccurrenceKNN)
    assert isinstance(content, ContentKNN)
    return LambdaMART(ease, pairs, content)


_ON_REQUEST: dict[str, BaselineFactory] = {"lambdamart": _trees}
"""Baselines of minutes: they run where ``baselines.names`` says them."""


def register(name: str) -> Callable[[BaselineFactory], BaselineFactory]:
    """Decorate a `BaselineFactory` to make it available under `name`; a second use of a name is an error."""

    def add(factory: BaselineFactory) -> BaselineFactory:
        if name in _FACTORIES:
            raise ValueError(f"baseline {name!r} is registered twice")
        _FACTORIES[name] = factory
        return factory

    return add


def available(data: BaselineData) -> list[str]:
    """The names that run by default: chance, popularity, last-item kNN, then the others."""
    last_item = [f"{modality}{_LAST_ITEM}" for modality in data.modalities]
    own = [name for name in last_item if name not in _FACTORIES]
    return [*_FLOORS, *own, *(name for name in _FACTORIES if name not in _FLOORS)]


def check_names(names: Sequence[str], data: BaselineData) -> None:
    """Raise ConfigError for a name that the domain has no baseline for; the message lists what there is."""
    known = [*available(data), *_ON_REQUEST]
    for name in names:
        if name not in known:
            features = f"features of {', '.join(data.modalities)}" if data.modalities else "no features"
            raise ConfigError(
                f"unknown baseline {name!r} for a domain with {features}; choose from {', '.join(known)}"
            )
