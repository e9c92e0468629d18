"""The folder of a page: the template filled in, the data and Vega's code beside it, whole or not at all."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from missrec_pl.data.domain.replacing import replacing
from missrec_pl.errors import ConfigError
from missrec_pl.report.page.facts import Facts

INDEX = "index.html"
_DATA = "data.js"
_VEGA = "vega.js"
_COPIED = ("page.css", "page.js", "charts.js")
_TABS = {  # of the page: title, and what it shows
    "overview": (
        "Overview",
        "Every run, and simple baselines in grey. Green is the best of its data. A click on a head sorts.",
    ),
    "comparison": (
        "Comparison",
        "Kinds of runs, user by user and seed by seed. Thick: the 95 % interval of one difference, by resampling "
        "users. Thin: the one for all differences of the metric at once; colours and words go by it. With one "
        "seed both leave out how seeds differ.",
    ),
    "curves": ("Curves", "Means of epochs, as csv/metrics.csv of the runs says them."),
    "groups": (
        "Groups",
        "Test users in groups. Bars are means over seeds, lines reach one standard deviation either way.",
    ),
    "cost": ("Cost", "What a run took to train, and what came of it. Dashed: the best simple baseline."),
    "interests": (
        "Interests",
        "Item tokens (points) and interest prototypes (diamonds) on a plane, each at unit length. Colours are the "
        "largest prototypes. Wheel and drag zoom and move; a point shows its item.",
    ),
    "examples": (
        "Examples",
        "Test users drawn at random, four each with the target on the ranks 1-10, 11-100 and beyond.",
    ),
    "configs": ("Configs", "The options in which the runs' configs differ."),
    "commands": ("Commands", "What trains these runs again, in the folder of the project."),
}
_NEEDED = {"jinja2": "Jinja2", "vl_convert": "vl-convert-python", "PIL": "Pillow"}


def require_page() -> None:
    """Raise a `ConfigError` if a library of the page is not installed, before any work is done."""
    missing = [name for module, name in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigError(f'the page needs {", ".join(missing)}: pip install "missrec-pl[report]"')


@contextmanager
def page_folder(out: Path) -> Iterator[Path]:
    """An empty folder that takes the place of ``out``, which may be an earlier page, if the block ends well.

    Raises:
        ConfigError: there is something else.
    """
    is_empty = out.is_dir() and not any(out.iterdir())
    if out.exists() and not is_empty and not _is_page(out):
        raise ConfigError(f"--out {out}: is no page and is not written over; choose another folder")
    with replacing(out, overwrite=True, is_ours=_is_page) as folder:
        yield folder


def _is_page(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (INDEX, _DATA, _VEGA))


def write_page(folder: Path, facts: Facts) -> None:
    """Write everything that a browser needs; it opens from the disk."""
    import vl_convert
    from jinja2 import Environment, PackageLoader, StrictUndefined

    web = files("missrec_pl.report.page").joinpath("web")
    for name in _COPIED:
        (folder / name).write_bytes(web.joinpath(name).read_bytes())
    # In a function, so that none of its names is in the way of the page's.
    code = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    (folder / _VEGA).write_text(f"(function () {{\n{code}\n}})();\n", encoding="utf-8")
    data = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    (folder / _DATA).write_text(f"window.REPORT = {data};\n", encoding="utf-8")
    loader = PackageLoader("missrec_pl.report.page", "web")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.get_template("index.html.j2").render(
        facts=facts,
        tabs=[(name, title) for name, (title, _) in _TABS.items()],
        abouts={name: about for name, (_, about) in _TABS.items()},
    )
    (folder / INDEX).write_text(page, encoding="utf-8")
