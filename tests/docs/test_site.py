"""The documentation: the reference holds every option, and the commands that pages show are commands."""

import argparse
import ast
import importlib.util
import re
import shlex
import sys

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import MissingConfigException
from runs import ROOT

from missrec_pl.prepare.commands import ALL
from missrec_pl.report.__main__ import COMMANDS
from missrec_pl.report.commands.base import make_parser
from missrec_pl.serving.__main__ import _parser as serving_parser

NEWCOMERS = (ROOT / "README.md", ROOT / "docs" / "index.md")
OTHERS = [page for page in sorted((ROOT / "docs").rglob("*.md")) if page not in NEWCOMERS]
CONFIGS = sorted(file for file in (ROOT / "configs").rglob("*.yaml") if "local" not in file.parts)


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("griffe", reason="needs the extra docs")
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "docs" / "site.py")
    module = sys.modules["docs_site"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys_of(node, prefix=""):
    for key, value in (node or {}).items():
        if prefix + key == "defaults" or key == "hydra":
            continue
        if isinstance(value, dict) and value:
            yield from keys_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@pytest.mark.slow
def test_every_option_of_every_file_is_in_the_reference(site):
    page = site.config_page()
    for file in CONFIGS:
        group = file.relative_to(ROOT / "configs").parts[0] if file.parent != ROOT / "configs" else ""
        section = site.file_section(group, file)
        assert section in page
        for key in keys_of(yaml.safe_load(file.read_text())):
            assert f"`{key}`" in section, f"{file}: {key}"


def test_defaults_of_signatures_are_there_with_their_meaning(site):
    section = site.file_section("interest", ROOT / "configs" / "interest" / "dpc_knn.yaml")
    assert "| `method.include_self` | `false` | whether a token counts among its own neighbours. |" in section


def test_links_to_files_beside_docs_lead_to_pages(site):
    class Page:
        class file:  # noqa: N801
            src_uri = "networks/s3rec.md"

    said = "[a](../../README.md) [b](../results.md) [c](../../benchmarks/RESULTS.md#x) [d](https://e.org/f.md)"
    made = "[a](../index.md) [b](../results.md) [c](../project/benchmarks.md#x) [d](https://e.org/f.md)"
    assert site.on_page_markdown(said, Page, None, None) == made


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_decisions_are_short():
    assert len((ROOT / "docs/decisions.md").read_text(encoding="utf-8").split()) <= 1500


def shown(page):
    """Command lines of the page's shell blocks; a variable stands for what it was given."""
    variables = {}
    for block in re.findall(r"```(?:bash|sh)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for name, value in variables.items():
                line = line.replace(f"${name}", value)
            words = shlex.split(line, comments=True)
            if len(words) == 1 and (given := re.fullmatch(r"([A-Z]+)=(.*)", words[0])):
                variables[given[1]] = given[2]
            yield words


def prepare_parser():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    for command in ALL:
        command.add_arguments(commands.add_parser(command.name))
    return parser


def check(words):
    """Refuse what is no command of this project; others pass."""
    if words[:1] != ["python"] or any("..." in word for word in words):
        return False
    if words[1] == "-m" and words[2] in ("missrec_pl.report", "missrec_pl.serving", "missrec_pl.prepare"):
        parser = {"report": make_parser(COMMANDS), "serving": serving_parser(), "prepare": prepare_parser()}
        said = [word for word in words[3:] if word not in ("&", "|")]
        if "--help" not in said:
            parser[words[2].partition(".")[2]].parse_args(said)
        return True
    if words[1] not in ("train.py", "eval.py") or "--config-dir" in words:
        return False
    said = [word for word in words[2:] if not word.startswith(("-", "hydra.", "resume="))]
    kept = []
    for override in OverridesParser.create().parse_overrides(said):
        is_sweep = override.is_sweep_override()
        first = next(iter(override.sweep_string_iterator())) if is_sweep else override.get_value_element_as_str()
        kept.append(f"{override.input_line.partition('=')[0]}={first}")
    try:
        with initialize_config_dir(str(ROOT / "configs"), version_base=None):
            assert compose(words[1].removesuffix(".py"), kept)
    except MissingConfigException as error:
        if "Could not find 'hydra/launcher/submitit" not in str(error):  # of an extra that is not installed
            raise
    return True


@pytest.mark.parametrize("page", NEWCOMERS, ids=lambda page: page.name)
def test_the_commands_that_newcomers_see_are_commands(page):
    assert sum(check(words) for words in shown(page)) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_the_commands_of_all_pages_are_commands(page):
    for words in shown(page):
        check(words)


@pytest.mark.parametrize("page", [*NEWCOMERS, *OTHERS], ids=lambda page: page.name)
def test_python_blocks_are_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(block)
