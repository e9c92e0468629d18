"""Pages of the site that are made: every config option from the YAML and the signatures, pages from outside docs/.

MkDocs calls `on_files` and `on_page_markdown` (mkdocs.yml, hooks). Nothing of the package is imported.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

import griffe
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
OUTSIDE = {  # page: file beside docs/
    "project/benchmarks.md": "benchmarks/RESULTS.md",
    "project/changelog.md": "CHANGELOG.md",
    "project/contributing.md": "CONTRIBUTING.md",
}
_PAGE_OF = {**{file: page for page, file in OUTSIDE.items()}, "README.md": "index.md"}
_GROUPS = {  # in the order of the reference
    "": "What the entry points read",
    "phase": "Pre-training, fine-tuning, baselines alone",
    "data": "Data sets and how batches are made of them",
    "model": "Networks",
    "objective": "Losses",
    "scorers": "Auxiliary scorers beside a network",
    "interest": "How interest prototypes are found",
    "setting": "With or without item IDs",
    "finetune": "What trains after `ckpt=`",
    "features": "Where features lie, and their transform",
    "optim": "Optimisers and rates",
    "baselines": "Simple recommenders beside every run",
    "trainer": "Devices, precision, epochs",
    "callbacks": "What happens around training",
    "logger": "Where curves go",
    "hparams_search": "Searches by Optuna",
    "experiment": "Overlays: presets and the paper's runs",
    "debug": "To find out what is wrong",
    "launch": "Where the jobs of a sweep run",
    "paths": "Folders",
    "hydra": "Hydra's own",
}
_LINK = re.compile(r"(\]\()((?:\.\./)*)([\w/.-]+\.(?:md|svg|json|yaml|py))((?:#[^)]*)?\))")


def on_files(files, config):
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for page, file in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference/config.md", content=config_page()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links to files beside docs/ lead to their pages; what has no page is named without a link."""
    here = OUTSIDE.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def turned(match):
        if match[2] == "" and "/" not in match[3] and here.startswith("docs/"):
            return match[0]
        target = (ROOT / here).parent.joinpath(match[2] + match[3]).resolve()
        if not target.is_relative_to(ROOT):
            return match[0]
        name = target.relative_to(ROOT).as_posix()
        inside = name.removeprefix("docs/") if name.startswith("docs/") else _PAGE_OF.get(name)
        if inside is None:
            return f"{match[1]}{'../' * page.file.src_uri.count('/')}index.md)"
        return f"{match[1]}{'../' * page.file.src_uri.count('/')}{inside}{match[4]}"

    return _LINK.sub(turned, markdown)


def config_page() -> str:
    """The reference of all options: a section for each group, in it a table for each file."""
    parts = [
        "# Config options\n",
        "Made from `configs/` and the signatures in `src/`. Say `group=name` to choose a file and "
        "`group.option=value` to change an option; `python train.py ... --cfg job` prints what is composed. "
        "Options in *italics* are defaults of the class that the file names: no file says them; add one with "
        "`+group.option=value` where `group.option=value` is refused.\n",
    ]
    for group in groups():
        title = f"`{group}=`" if group else "`train.py` and `eval.py`"
        parts.append(f"## {title}\n\n{_GROUPS[group]}.\n")
        for file in sorted((CONFIGS / group).glob("*.yaml" if group in ("", *_flat_groups()) else "**/*.yaml")):
            parts.append(file_section(group, file))
    return "\n".join(parts)


def groups() -> list[str]:
    """All groups that have files; a KeyError below tells of one that the reference lacks."""
    found = {file.relative_to(CONFIGS).parts[0] for file in CONFIGS.glob("*/**/*.yaml")} - {"local"}
    unknown = found - set(_GROUPS)
    assert not unknown, f"docs/site.py: say in _GROUPS what {', '.join(sorted(unknown))} is about"
    return [group for group in _GROUPS if not group or group in found]


def _flat_groups() -> list[str]:
    return [group for group in _GROUPS if group != "experiment"]


@cache
def file_section(group: str, file: Path) -> str:
    """The section of a config file: what its first comment says, and its options."""
    name = file.relative_to(CONFIGS / group).with_suffix("").as_posix()
    about, rows, targets = read_options(file)
    options = rows + signature_rows(rows, targets)
    table = "".join(f"| {key} | {value} | {note} |\n" for key, value, note in options)
    head = f"### {group + '=' if group else ''}{name} {{ #{(group or 'top')}-{name.replace('/', '-')} }}\n\n"
    body = f"| option | value | meaning |\n|---|---|---|\n{table}" if table else ""
    return f"{head}{_safe(about)}\n\n{body}"


def read_options(file: Path) -> tuple[str, list[tuple[str, str, str]], dict[str, str]]:
    """Comment at the top, rows of option, value and meaning, and the ``_target_`` of each dotted node."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    head = [line for line in takewhile(lambda line: line.startswith("#"), lines) if "@package" not in line]
    targets: dict[str, str] = {}
    rows = list(_options(yaml.compose(text), "", text, lines, targets))
    return " ".join(line.lstrip("# ") for line in head), rows, targets


def _options(
    node: yaml.Node | None, prefix: str, text: str, lines: list[str], targets: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Rows of a mapping and of those in it."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return
    pairs = {key.value: value for key, value in node.value}
    if "_target_" in pairs:
        targets[prefix.rstrip(".")] = pairs["_target_"].value
    for key, value in pairs.items():
        if prefix + key == "defaults":
            for one in value.value:
                yield (
                    "`defaults`",
                    f"`{text[one.start_mark.index : one.end_mark.index].strip()}`",
                    _note(one, lines),
                )
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _options(value, f"{prefix}{key}.", text, lines, targets)
        else:
            shown = text[value.start_mark.index : value.end_mark.index].strip()
            note = _note(value, lines) or _safe(meaning_of(targets.get(prefix.rstrip(".")), key))
            yield f"`{prefix}{key}`", f"`{' '.join(shown.split()) or 'null'}`".replace("|", "\\|"), note


def _note(node: yaml.Node, lines: list[str]) -> str:
    """The comment behind a value."""
    last = node.end_mark.line if node.end_mark.column else node.end_mark.line - 1
    return _safe(lines[last].partition(" # ")[2])


def signature_rows(rows: list[tuple[str, str, str]], targets: dict[str, str]) -> list[tuple[str, str, str]]:
    """Options of the classes that a file names and does not set itself."""
    known = {row[0].strip("`") for row in rows}
    found = []
    for node, target in targets.items():
        for name, default, meaning in options_of(target):
            key = f"{node}.{name}" if node else name
            if key not in known and default is not None:
                found.append((f"*`{key}`*", f"`{default}`", _safe(meaning)))
    return found


def meaning_of(target: str | None, option: str) -> str:
    """What the class says of an option; nothing where nobody does."""
    return next((meaning for name, _, meaning in options_of(target or "") if name == option), "")


@cache
def options_of(target: str) -> list[tuple[str, str | None, str]]:
    """Name, default (None without one) and meaning of each option of a class or function of this project."""
    if not target.startswith("missrec_pl."):
        return []
    try:
        found = package()[target.removeprefix("missrec_pl.")]
        found = found.final_target if found.is_alias else found
    except KeyError:
        return []
    parameters = list(found.parameters)
    meanings: dict[str, str] = {}
    for one in (found, *([found.members["__init__"]] if "__init__" in found.members else [])):
        for section in one.docstring.parsed if one.docstring else ():
            if section.kind.value == "parameters":
                meanings |= {item.name: " ".join(item.description.split()) for item in section.value}
    usual = [
        one for one in parameters if one.name not in ("self", "data") and not one.kind.value.startswith("variadic")
    ]
    return [(one.name, _plain(one.default), meanings.get(one.name, "")) for one in usual]


def _plain(default: object) -> str | None:
    if default is None:
        return None
    text = str(default)
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@cache
def package() -> griffe.Module:
    """The package, read and not imported."""
    return griffe.load("missrec_pl", search_paths=[ROOT / "src"], docstring_parser="google")


def _safe(text: str) -> str:
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`").replace("|", "\\|")
