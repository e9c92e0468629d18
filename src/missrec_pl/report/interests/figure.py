"""The picture of interests: decision graph, cosines, sizes, composition."""

import io
import math
from itertools import cycle
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from missrec_pl.clustering import DPCKNNResult
from missrec_pl.experiment.interests.numbers import InterestNumbers
from missrec_pl.experiment.interests.stored import StoredInterests
from missrec_pl.report.interests.text import share
from missrec_pl.report.output import COLOURS, DARK, GREY

_MARKERS = ("o", "^", "s", "D", "v")  # each modality has one beside its colour
_PAIRS = 20_000
_LEAST_DELTA = 1e-3  # of the largest: what is smaller is drawn at the edge
_DPI = 150


def draw(stored: StoredInterests, numbers: InterestNumbers, graph: DPCKNNResult | None) -> bytes:
    """A PNG of all panels. The decision graph needs densities and deltas of the tokens; None leaves it out."""
    panels = _layout(graph is not None, len(stored.modalities) > 1)
    figure = Figure(figsize=(12, 4.2 * len(panels) + 0.6), layout="constrained")
    axes = figure.subplot_mosaic(panels)  # type: ignore[arg-type]
    if graph is not None:
        _draw_graph(axes["graph"], stored, graph)
    _draw_cosines(axes["cosines"], stored, numbers)
    _draw_sizes(axes["sizes"], numbers)
    if "composition" in axes:
        axes["composition"].sharex(axes["sizes"])
        _draw_composition(axes["composition"], stored, numbers)
    for panel in axes.values():
        panel.spines[["top", "right"]].set_visible(False)
    heading = f"{len(numbers.sizes):,} interest prototypes for {len(stored.tokens):,} item tokens"
    figure.suptitle(f"{heading}: {', '.join(stored.domains)}", fontsize=14, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _layout(has_graph: bool, has_modalities: bool) -> list[list[str]]:
    """Panels by row; sizes above composition, for they share the axis of prototypes."""
    if has_modalities:
        return [["graph" if has_graph else "cosines", "sizes"], ["cosines", "composition"]]
    return [["graph", "graph"], ["cosines", "sizes"]] if has_graph else [["cosines", "sizes"]]


def _draw_graph(axes: Axes, stored: StoredInterests, graph: DPCKNNResult) -> None:
    """Eqs. (3) and (4) against each other; the log of the score is the sum of both logs."""
    density, delta = graph.log_density.double(), graph.delta.double()
    floor = max(float(delta.max()) * _LEAST_DELTA, 1e-12)
    is_center = torch.zeros(len(delta), dtype=torch.bool)
    is_center[graph.centers] = True
    shown = delta.clamp(min=floor)
    for number, (name, colour, marker) in enumerate(zip(stored.modalities, cycle(COLOURS), cycle(_MARKERS))):
        others, centers = (chosen & (stored.modality == number) for chosen in (~is_center, is_center))
        axes.scatter(density[others], shown[others], s=6, color=colour, marker=marker, alpha=0.3, linewidths=0)
        label = f"{name}: {int(centers.sum()):,} centres of {int((others | centers).sum()):,} tokens"
        look: dict[str, Any] = {"color": colour, "marker": marker, "edgecolors": "black", "linewidths": 0.5}
        axes.scatter(density[centers], shown[centers], s=24, label=label, zorder=3, **look)
    axes.set(yscale="log", ylim=(0.7 * floor, 1.6 * max(float(delta.max()), floor)))
    last = float(density[graph.centers[-1]] + delta[graph.centers[-1]].log())
    if math.isfinite(last):
        x = torch.linspace(float(density.min()), float(density.max()), 300, dtype=torch.float64)
        axes.plot(x, (last - x).exp(), color=DARK, linestyle="--", linewidth=1, label="score of the last centre")
    if below := int((delta < floor).sum()):
        axes.plot([], [], " ", label=f"{below:,} tokens of smaller delta (copies) at the lower edge")
    axes.set_title("Decision graph: the centres score highest in density × delta", loc="left")
    axes.set(
        xlabel="log density (minus mean squared distance to the k nearest tokens)",
        ylabel="delta (distance to the nearest denser token)",
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(fontsize=9, loc="center left", framealpha=0.9)


def _draw_cosines(axes: Axes, stored: StoredInterests, numbers: InterestNumbers) -> None:
    """Distributions of the cosine of two tokens, drawn at random and drawn from one prototype."""
    everything = torch.zeros_like(stored.assignment)
    curves = [("any two tokens", everything, numbers.at_random, GREY, "-")]
    if len(stored.modalities) > 1:
        curves.append(("two of one modality", stored.modality, numbers.same_modality, DARK, "--"))
    curves.append(("two of one prototype", stored.assignment, numbers.within, COLOURS[2], "-"))
    sampled = {
        name: (sample_cosines(stored.tokens, group, stored.seed).clamp(-1, 1).numpy(), mean, colour, style)
        for name, group, mean, colour, style in curves
        if not math.isnan(mean)
    }
    edges = np.linspace(min((float(sample[0].min()) for sample in sampled.values()), default=0) - 1e-3, 1, 61)
    for name, (cosines, mean, colour, style) in sampled.items():
        shares = 100 * np.histogram(cosines, edges)[0] / len(cosines)
        look: dict[str, Any] = {"color": colour, "linestyle": style, "drawstyle": "steps-mid", "linewidth": 1.8}
        axes.plot((edges[1:] + edges[:-1]) / 2, shares, label=f"{name}: mean {mean:.2f}", **look)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    axes.set_title("Are the tokens of one prototype alike?", loc="left")
    axes.set(xlabel="cosine of two tokens", ylabel="share of the pairs (%)")
    axes.legend(fontsize=9, loc="upper left")


def _draw_sizes(axes: Axes, numbers: InterestNumbers) -> None:
    sizes = numbers.sizes.sort(descending=True).values
    axes.stairs(sizes.numpy(), np.arange(len(sizes) + 1), baseline=0.8, fill=True, color=GREY)
    axes.set(yscale="log", ylim=(0.8, max(2.0, 1.6 * float(sizes.max()))), xlim=(0, len(sizes)))
    facts = [
        f"largest: {int(sizes[0]):,} tokens, {share(int(sizes[0]) / int(sizes.sum()))} of all",
        f"of a single token: {int((sizes == 1).sum()):,} of {len(sizes):,} prototypes",
    ]
    axes.text(0.98, 0.95, "\n".join(facts), transform=axes.transAxes, ha="right", va="top")
    axes.set_title("How large are the prototypes?", loc="left")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set(xlabel="prototypes, largest first", ylabel="tokens (log scale)")


def _draw_composition(axes: Axes, stored: StoredInterests, numbers: InterestNumbers) -> None:
    order = numbers.sizes.argsort(descending=True, stable=True)
    shares = 100 * numbers.composition[order] / numbers.sizes[order].clamp(min=1)[:, None]
    edges, base = np.arange(len(order) + 1), np.zeros(len(order))
    for number, (name, colour) in enumerate(zip(stored.modalities, cycle(COLOURS), strict=False)):
        top = base + shares[:, number].numpy()
        axes.stairs(top, edges, baseline=base, fill=True, color=colour, label=name)
        base = top
    axes.set_ylim(0, 100)
    axes.set_title("Which modalities are they made of?", loc="left")
    axes.set(xlabel="prototypes, largest first", ylabel="share of a prototype's tokens (%)")
    axes.legend(fontsize=9, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(stored.modalities), frameon=False)


def sample_cosines(tokens: Tensor, group: Tensor, seed: int) -> Tensor:
    """Cosines of random pairs: the first token is drawn from all, the second from the others of its group.

    The tokens are ``[P, D]``, the groups ``[P]``. At least one group has two tokens.
    """
    generator = torch.Generator().manual_seed(seed)
    order = group.argsort(stable=True)
    size = group.bincount()
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order)) - (size.cumsum(0) - size)[group[order]]
    shared = (size[group] > 1).nonzero()[:, 0]
    first = shared[torch.randint(len(shared), (_PAIRS,), generator=generator)]
    others = size[group[first]] - 1
    step = (torch.rand(_PAIRS, generator=generator, dtype=torch.float64) * others).long() + 1
    start = (size.cumsum(0) - size)[group[first]]
    second = order[start + (place[first] + step) % (others + 1)]
    return F.cosine_similarity(tokens[first], tokens[second])
