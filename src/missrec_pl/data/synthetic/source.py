"""A small, learnable, multi-modal, multi-domain data set for tests and first steps, as a domain source."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from missrec_pl.data.domain.cache import DomainCache
from missrec_pl.data.synthetic.generator import VERSION, SyntheticSpec, write_synthetic
from missrec_pl.errors import ConfigError


class SyntheticDomains:
    """Generated domains ``synthetic_<number>``.

    Domain ``i`` of a seed is the same however many domains are asked for: pre-train on ``num_domains=2`` and
    fine-tune on ``first_domain=2, num_domains=1``.

    Args:
        cache_dir: Where the generated domains are kept.
        num_domains: How many domains.
        first_domain: Number of the first one.
        seed: Same seed, same content.
        num_users: Users of a domain.
        num_items: Items of a domain.
        num_interests: Clusters of items in a domain.
        min_length: Shortest sequence, in interactions (at least 3).
        max_length: Longest sequence, in interactions.
        dims: Feature width of every modality; default text 24, image 16. More names are welcome.
        missing: Share of items without a modality; default image 0.4.
        noise: Standard deviation of the feature noise.

    Raises:
        ConfigError: The values cannot work together.
    """

    def __init__(
        self,
        cache_dir: Path | str,
        *,
        num_domains: int = 3,
        first_domain: int = 0,
        seed: int = 0,
        num_users: int = 200,
        num_items: int = 120,
        num_interests: int = 6,
        min_length: int = 4,
        max_length: int = 15,
        dims: Mapping[str, int] | None = None,
        missing: Mapping[str, float] | None = None,
        noise: float = 0.3,
    ) -> None:
        if num_domains < 1 or first_domain < 0:
            raise ConfigError("synthetic data: needs num_domains >= 1 and first_domain >= 0")
        default = SyntheticSpec()
        widths = dict(dims) if dims is not None else dict(default.dims)
        shares = missing if missing is not None else {k: v for k, v in default.missing.items() if k in widths}
        self.name = "synthetic"
        self.cache_dir = Path(cache_dir)
        self.domains = range(first_domain, first_domain + num_domains)
        self.spec = SyntheticSpec(
            seed, num_users, num_items, num_interests, min_length, max_length, widths, dict(shares), noise
        )

    def prepare(self) -> None:
        """Generates the domains unless the cache holds them."""
        for number in self.domains:
            build = partial(_write_one, number=number, spec=self.spec)
            self._cache(number).prepare(self._inputs(number), build)

    def paths(self) -> list[Path]:
        """The generated domain folders.

        Raises:
            DataError: They were not generated yet.
        """
        return [path for number in self.domains for path in self._cache(number).paths(self._inputs(number))]

    def _cache(self, number: int) -> DomainCache:
        return DomainCache(self.cache_dir, f"synthetic_{number}")

    def _inputs(self, number: int) -> dict[str, object]:
        return {"version": VERSION, "domain": number, **asdict(self.spec)}


def _write_one(folder: Path, number: int, spec: SyntheticSpec) -> list[Path]:
    return [write_synthetic(folder, number, spec)]
