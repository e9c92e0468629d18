"""Small generated domains: several modalities, content that can be learned and transferred.

Every item has a latent vector near one of its domain's interests. A user follows two or three interests: the
next item mostly stays in the present interest and lies near the rotated latent of the present item; sometimes
the user turns to another interest. Features are noisy random projections of the latents. Projections and
rotation are the same in every domain of a seed, so what is learned on one domain helps on the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.cache import DomainCache
from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Ints, Sequences
from missrec_pl.errors import ConfigError

Floats = npt.NDArray[np.float64]

VERSION = 1  # part of the cache key: raise it when the generated content changes
_LATENT = 8
_YEAR_S = 365 * 24 * 3600
_SHARED, _DOMAIN = 0, 1  # random streams


@dataclass(kw_only=True, eq=False)
class SyntheticSpec:
    """What a synthetic domain looks like.

    Attributes:
        seed: Same seed, same content.
        num_users: Users of a domain.
        num_items: Items of a domain.
        num_interests: Clusters of items; each user follows two or three.
        min_length: Shortest sequence, in interactions (at least 3).
        max_length: Longest sequence, in interactions.
        dims: Feature width of every modality; ``text`` has to be among them.
        missing: Share of items without a modality, 0..1; 0 where a modality is not named. None: image 0.4.
        noise: Standard deviation of the noise on features whose own is about 1.
        attributes: Whether items have attributes: the kind of their interest and a trait; every fourth item none.

    Raises:
        ConfigError: The values cannot work together.
    """

    seed: int = 0
    num_users: int = 200
    num_items: int = 120
    num_interests: int = 6
    min_length: int = 4
    max_length: int = 15
    dims: Mapping[str, int] = field(default_factory=lambda: {"text": 24, "image": 16})
    missing: Mapping[str, float] | None = None
    noise: float = 0.3
    attributes: bool = False

    def __post_init__(self) -> None:
        self.dims = dict(self.dims)  # plain values, whatever the config gave
        default = {"image": 0.4} if "image" in self.dims else {}
        self.missing = default if self.missing is None else dict(self.missing)
        if "text" not in self.dims:
            raise ConfigError("synthetic data: dims has to name the modality text")
        if not 3 <= self.min_length <= self.max_length < self.num_items:
            found = f"{self.min_length}, {self.max_length}, {self.num_items}"
            raise ConfigError(f"synthetic data: needs 3 <= min_length <= max_length < num_items, found {found}")
        if not 2 <= self.num_interests <= self.num_items or self.num_users < 1:
            raise ConfigError("synthetic data: needs num_users >= 1 and 2 <= num_interests <= num_items")
        wrong = [name for name, share in self.missing.items() if name not in self.dims or not 0 <= share < 1]
        if wrong:
            raise ConfigError(
                f"synthetic data: missing.{wrong[0]} has to be a modality of dims with a share in [0, 1)"
            )

    def inputs(self, number: int) -> dict[str, Any]:
        """What the content of domain ``number`` depends on, as plain values."""
        own = {one.name: getattr(self, one.name) for one in fields(SyntheticSpec)}
        if not self.attributes:  # content as before there was a choice
            del own["attributes"]
        return {"version": VERSION, "domain": number, **own}


@dataclass(eq=False)
class SyntheticDomains(SyntheticSpec):
    """A domain source of small, learnable domains ``synthetic_<number>``, for tests and first steps.

    Domain ``i`` of a seed is the same however many domains are asked for: pre-train on ``num_domains=2`` and
    fine-tune on ``first_domain=2, num_domains=1``. They are kept in ``cache_dir``.
    """

    name = "synthetic"
    cache_dir: Path | str
    num_domains: int = field(default=3, kw_only=True)
    first_domain: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_domains < 1 or self.first_domain < 0:
            raise ConfigError("synthetic data: needs num_domains >= 1 and first_domain >= 0")

    def prepare(self) -> None:
        """Generates the domains unless the cache holds them."""
        for number, cache in self._caches():
            cache.prepare(self.inputs(number), partial(self._write, number))

    def paths(self) -> list[Path]:
        """The generated domain folders; DataError if they were not generated yet."""
        return [path for number, cache in self._caches() for path in cache.paths(self.inputs(number))]

    def _write(self, number: int, folder: Path) -> list[Path]:
        return [write_synthetic(folder, number, self)]

    def _caches(self) -> list[tuple[int, DomainCache]]:
        numbers = range(self.first_domain, self.first_domain + self.num_domains)
        return [(number, DomainCache(self.cache_dir, f"synthetic_{number}")) for number in numbers]


def write_synthetic(folder: Path, number: int, spec: SyntheticSpec, *, overwrite: bool = False) -> Path:
    """Writes domain ``number`` of ``spec`` to ``folder/synthetic_<number>``, which is returned.

    Raises:
        DataError: It exists and ``overwrite`` is false.
    """
    rng = np.random.default_rng([spec.seed, _DOMAIN, number])
    interests = rng.integers(spec.num_interests, size=spec.num_items)
    interests[: spec.num_interests] = np.arange(spec.num_interests)
    centres = 1.5 * rng.normal(size=(spec.num_interests, _LATENT))
    latents = centres[interests] + 0.7 * rng.normal(size=(spec.num_items, _LATENT))
    name = f"synthetic_{number}"
    features, views = _features(latents, rng, spec)
    return write_domain(
        folder / name,
        name=name,
        raw_item_ids=[f"{name}-item-{item}" for item in range(1, spec.num_items + 1)],
        texts=[_text(latent, interest) for latent, interest in zip(latents, interests, strict=True)],
        sequences=_sequences(latents, interests, rng, spec),
        raw_user_ids=[f"{name}-user-{user}" for user in range(spec.num_users)],
        features=features,
        views=views,
        attributes=[_attributes(*one) for one in zip(range(spec.num_items), latents, interests, strict=True)]
        if spec.attributes
        else None,
        overwrite=overwrite,
        created_by={"program": "missrec_pl.data.synthetic", **spec.inputs(number)},
    )


def _features(
    latents: Floats, rng: np.random.Generator, spec: SyntheticSpec
) -> tuple[dict[str, FeatureMatrix], dict[str, FeatureMatrix]]:
    features, missing = {}, spec.missing or {}
    for name, width in spec.dims.items():
        # The projection depends on the seed and the modality's name only: all domains share it.
        shared = np.random.default_rng([spec.seed, _SHARED, *name.encode()])
        projected = latents @ shared.normal(size=(_LATENT, width)) / np.sqrt(_LATENT)
        present = rng.random(spec.num_items) >= missing.get(name, 0.0)
        noisy = projected + spec.noise * rng.normal(size=projected.shape)
        features[name] = FeatureMatrix(noisy.astype(np.float32), present, "synthetic-projection")
    text = features["text"]
    dropped = np.asarray(text.rows) + spec.noise * rng.normal(size=text.rows.shape)
    return features, {"text_worddrop": replace(text, rows=dropped.astype(np.float32))}


def _sequences(latents: Floats, interests: Ints, rng: np.random.Generator, spec: SyntheticSpec) -> Sequences:
    shared = np.random.default_rng([spec.seed, _SHARED])
    rotation = np.linalg.qr(np.eye(_LATENT) + 0.3 * shared.normal(size=(_LATENT, _LATENT)))[0]
    rotation *= np.sign(np.diag(rotation))
    distances = ((latents @ rotation)[:, None, :] - latents[None, :, :]) ** 2
    closeness = np.exp(-distances.sum(axis=2) / 2)
    items, times = [], []
    for _ in range(spec.num_users):
        length = int(rng.integers(spec.min_length, spec.max_length + 1))
        items.append([item + 1 for item in _walk(closeness, interests, length, rng, spec.num_interests)])
        gaps = rng.integers(3600, _YEAR_S // spec.max_length // 2, size=length)
        times.append((rng.integers(_YEAR_S // 2) + np.cumsum(gaps)).tolist())
    return Sequences.from_lists(items, times)


def _walk(
    closeness: Floats, interests: Ints, length: int, rng: np.random.Generator, num_interests: int
) -> list[int]:
    """Items (from 0) of one user, none twice; a step in ten ignores interests, one in seven changes them."""
    count = min(num_interests, int(rng.integers(2, 4)))
    followed = rng.choice(num_interests, size=count, replace=False)
    current = followed[0]
    walk: list[int] = []
    unseen = np.ones(len(interests), bool)
    for _ in range(length):
        dice = rng.random()
        if dice < 0.15:
            current = rng.choice(followed)
        weights = np.where(interests == current, 1.0, 1e-6) if dice < 0.9 else np.ones(len(interests))
        if walk:
            weights = weights * (closeness[walk[-1]] + 1e-6)
        weights = weights * unseen
        item = int(rng.choice(len(weights), p=weights / weights.sum()))
        unseen[item] = False
        walk.append(item)
    return walk


def _text(latent: Floats, interest: int) -> str:
    traits = " ".join(f"trait{axis}{'high' if value > 0 else 'low'}" for axis, value in enumerate(latent))
    return f"kind{interest} {traits}"


def _attributes(item: int, latent: Floats, interest: int) -> list[str]:
    """The kind, and the side of the first axis."""
    return [] if item % 4 == 3 else [f"kind{interest}", "high" if latent[0] > 0 else "low"]
