"""The numbers of interests as lines for the terminal and as a Markdown page."""

import math
from collections.abc import Sequence
from urllib.parse import quote

from torch import Tensor

from missrec_pl.clustering.methods import DPCKNN
from missrec_pl.experiment.interests.numbers import InterestNumbers, PrototypeNumbers
from missrec_pl.experiment.interests.stored import StoredInterests

_TITLE_WIDTH = 90
_PAGE = """# Interests of {checkpoint}

![Interest prototypes in pictures]({picture})

```text
{lines}
```

How to read this:

{notes}
"""
_GRAPH_NOTE = (
    "Decision graph: tokens as the checkpoint's adapters make them, clustered with the run's options. "
    "Right of and above the dashed line lie the tokens that become centres."
)
_NOTES = (
    "An item token is one item in one modality. Sizes, composition and lists are those of the interest table in "
    "the checkpoint, which the network used.",
    "Cosines say whether tokens of one prototype are more alike than others: the further apart the curves, the "
    "more an interest says about its items.",
    "A list holds the nearest of a prototype's own items, by Euclidean distance from the prototype; `(x3)` is "
    "three items of one title.",
)


def to_lines(
    stored: StoredInterests, numbers: InterestNumbers, prototypes: Sequence[PrototypeNumbers]
) -> list[str]:
    """The report, a line per fact."""
    lines = [*_overall(stored, numbers)]
    for prototype in prototypes:
        lines += ["", *_one_prototype(stored, numbers, prototype)]
    return lines


def to_markdown(stored: StoredInterests, lines: Sequence[str], picture: str) -> str:
    """A page with the picture (a path relative to the page) and the lines."""
    notes = [_GRAPH_NOTE, *_NOTES] if isinstance(stored.method, DPCKNN) else _NOTES
    return _PAGE.format(
        checkpoint=stored.checkpoint.name,
        picture=quote(picture),
        lines="\n".join(lines),
        notes="\n".join(f"- {note}" for note in notes),
    )


def _overall(stored: StoredInterests, numbers: InterestNumbers) -> list[str]:
    sizes, total = numbers.sizes, len(stored.tokens)
    used, unused = sizes[sizes > 0], int((sizes == 0).sum())
    lines = [
        f"{stored.checkpoint}: interests in {', '.join(stored.domains)}",
        f"prototypes  {len(sizes):,} by {type(stored.method).__name__}, for {total:,} item tokens "
        f"({_composition(stored.modalities, numbers.composition.sum(0))})",
        f"sizes       largest {int(used.max()):,} ({share(int(used.max()) / total)} of the tokens), median "
        f"{int(used.median()):,}, {int((sizes == 1).sum()):,} of a single token"
        + (f", {unused:,} of none" if unused else ""),
        f"cosine      {_cosine(numbers.within)} within a prototype, {_cosine(numbers.at_random)} at random"
        + (f" ({_cosine(numbers.same_modality)} within one modality)" if len(stored.modalities) > 1 else ""),
    ]
    if len(stored.modalities) > 1:
        lines.append(f"modalities  prototypes of {_mixture(stored.modalities, numbers.composition)}")
    if len(stored.domains) > 1:
        lines.append(f"domains     prototypes of {_mixture(stored.domains, numbers.by_domain)}")
    moved = share(numbers.moved)
    lines.append(f"drift       {moved} of the tokens came nearer to another prototype since the table was made")
    if not isinstance(stored.method, DPCKNN):
        lines.append("graph       none: only interest=dpc_knn has densities and deltas")
    return lines


def _one_prototype(stored: StoredInterests, numbers: InterestNumbers, prototype: PrototypeNumbers) -> list[str]:
    row = prototype.interest - 1
    facts = [f"{int(numbers.sizes[row]):,} tokens ({share(int(numbers.sizes[row]) / len(stored.tokens))})"]
    if len(stored.modalities) > 1:
        facts.append(_composition(stored.modalities, numbers.composition[row]))
    facts.append(f"cosine {_cosine(prototype.cosine)}")
    lines = [f"prototype {prototype.interest} ({prototype.why}): {', '.join(facts)}"]
    width = max(len("+".join(item.modalities)) for item in prototype.nearest)
    for item in prototype.nearest:
        kind = f"  {'+'.join(item.modalities):<{width}}" if len(stored.modalities) > 1 else ""
        copies = f"  (x{item.count})" if item.count > 1 else ""
        is_long = len(item.title) > _TITLE_WIDTH
        title = f"{item.title[: _TITLE_WIDTH - 1].rstrip()}…" if is_long else item.title
        lines.append(f"  {item.distance:8.3f}{kind}  {title}{copies}")
    return lines


def share(fraction: float) -> str:
    """A share in per cent: ``12 %``, ``4.2 %``, ``<0.1 %``."""
    percent = 100 * fraction
    if 0 < percent < 0.1:
        return "<0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 10 else f"{percent:.0f} %"


def _composition(names: Sequence[str], tokens: Tensor) -> str:
    """``85 % text, 15 % image``; what is not there is left out."""
    found = [(name, count) for name, count in zip(names, tokens.tolist(), strict=True) if count]
    if len(found) == 1:
        return f"all {found[0][0]}"
    return ", ".join(f"{share(count / int(tokens.sum()))} {name}" for name, count in found)


def _mixture(names: Sequence[str], table: Tensor) -> str:
    """How many prototypes hold tokens of one kind alone, and how many mix them."""
    kinds = (table > 0).sum(1)
    alone = [
        f"{name} alone {int(((column > 0) & (kinds == 1)).sum()):,}"
        for name, column in zip(names, table.T, strict=True)
    ]
    return f"{', '.join(alone)}, of several {int((kinds > 1).sum()):,}"


def _cosine(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.2f}"
