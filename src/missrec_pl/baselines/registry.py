"""Baselines by name, the way configs and results.json call them."""

from collections.abc import Callable
from typing import TypeVar

from missrec_pl.baselines.base import Baseline, BaselineData
from missrec_pl.errors import ConfigError

BaselineFactory = Callable[[BaselineData, int], Baseline]
"""Builds an unfitted baseline from the data (what modalities there are) and the seed."""

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
    """All names that `create` accepts for this domain."""
    per_modality = [f"{modality}_{suffix}" for suffix in _MODALITY_FACTORIES for modality in data.modalities]
    return [*_FACTORIES, *(name for name in per_modality if name not in _FACTORIES)]


def default_names(data: BaselineData) -> tuple[str, ...]:
    """`random`, `popularity` and the last-item kNN of the text (of the first modality, without text)."""
    modalities = data.modalities
    knn_modalities = ["text"] if "text" in modalities else modalities[:1]
    return ("random", "popularity", *(f"{modality}_knn" for modality in knn_modalities))


def create(name: str, data: BaselineData, *, seed: int = 0) -> Baseline:
    """Build the unfitted baseline called `name`.

    Raises:
        ConfigError: There is no such baseline, or the domain lacks the modality it needs.
    """
    if name not in available(data):
        raise ConfigError(
            f"unknown baseline {name!r} for a domain with {_modalities_in_words(data)}; "
            f"choose from {', '.join(available(data))}"
        )
    if name in _FACTORIES:
        return _FACTORIES[name](data, seed)
    suffix = next(suffix for suffix in _MODALITY_FACTORIES if name.endswith(f"_{suffix}"))
    return _MODALITY_FACTORIES[suffix](name.removesuffix(f"_{suffix}"))


def _modalities_in_words(data: BaselineData) -> str:
    return f"features of {', '.join(data.modalities)}" if data.modalities else "no features"
