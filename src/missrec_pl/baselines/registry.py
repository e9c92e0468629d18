"""Baselines by name, the way configs and results.json call them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from missrec_pl.baselines.base import Baseline, BaselineData
from missrec_pl.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """What a user may set.

    Attributes:
        seed: Of `random`. Keep it fixed over the runs of a study, so that all show the same baselines.
        max_ease_items: `ease` inverts a dense matrix of the items that occur in the training parts: at most so
            many (8,000 take a GiB and some 20 seconds).
    """

    seed: int = 0
    max_ease_items: int = 8000


class Context:
    """The baselines of one domain, each built once: those that another one is made of are shared with it.

    Args:
        data: What they learn from.
        options: What the user set.
    """

    def __init__(self, data: BaselineData, options: Options | None = None) -> None:
        self.data = data
        self.options = options if options is not None else Options()
        self._built: dict[str, Baseline] = {}

    def get(self, name: str) -> Baseline:
        """The unfitted or fitted baseline called ``name``.

        Raises:
            ConfigError: There is no such baseline, or the domain lacks the modality it needs.
        """
        if name not in self._built:
            check_names([name], self.data)
            self._built[name] = _factory(name)(self.data, self)
        return self._built[name]


BaselineFactory = Callable[[BaselineData, Context], Baseline]
"""Builds an unfitted baseline from the data (what modalities there are) and its context."""

_FACTORIES: dict[str, BaselineFactory] = {}
_MODALITY_FACTORIES: dict[str, Callable[[str], Baseline]] = {}

FactoryT = TypeVar("FactoryT", bound=BaselineFactory)
ModalityFactoryT = TypeVar("ModalityFactoryT", bound=Callable[[str], Baseline])


def register(name: str) -> Callable[[FactoryT], FactoryT]:
    """Decorate a `BaselineFactory` to make it available under `name`; a second use of a name is an error."""

    def add(factory: FactoryT) -> FactoryT:
        if name in _FACTORIES:
            raise ValueError(f"baseline {name!r} is registered twice")
        _FACTORIES[name] = factory
        return factory

    return add


def register_per_modality(suffix: str) -> Callable[[ModalityFactoryT], ModalityFactoryT]:
    """Decorate a factory to make it available as ``<modality>_<suffix>`` for each modality of a domain."""

    def add(factory: ModalityFactoryT) -> ModalityFactoryT:
        _MODALITY_FACTORIES[suffix] = factory
        return factory

    return add


def available(data: BaselineData) -> list[str]:
    """All names that `Context.get` accepts for this domain, the last-item kNN of each modality at the front."""
    per_modality = [f"{modality}_{suffix}" for suffix in _MODALITY_FACTORIES for modality in data.modalities]
    own = [name for name in per_modality if name not in _FACTORIES]
    floors = [name for name in ("random", "popularity") if name in _FACTORIES]
    return [*floors, *own, *(name for name in _FACTORIES if name not in floors)]


def check_names(names: list[str], data: BaselineData) -> None:
    """Refuse names that the domain has no baseline for.

    Raises:
        ConfigError: The first such name, and what there is.
    """
    for name in names:
        if name not in available(data):
            raise ConfigError(
                f"unknown baseline {name!r} for a domain with {_modalities_in_words(data)}; "
                f"choose from {', '.join(available(data))}"
            )


def _factory(name: str) -> BaselineFactory:
    if name in _FACTORIES:
        return _FACTORIES[name]
    suffix = next(suffix for suffix in _MODALITY_FACTORIES if name.endswith(f"_{suffix}"))
    return lambda data, context: _MODALITY_FACTORIES[suffix](name.removesuffix(f"_{suffix}"))


def _modalities_in_words(data: BaselineData) -> str:
    return f"features of {', '.join(data.modalities)}" if data.modalities else "no features"
