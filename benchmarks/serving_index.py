"""An index beside exact scoring: recall of the exact top-50, latency, build time, memory.

    python benchmarks/serving_index.py                                  # 1,048,576 generated items
    python benchmarks/serving_index.py --bundle BUNDLE                  # a bundle, such as one of Instruments

The generated items lie in 4,096 clusters (sizes by a power law), every third lacks the picture. Users walk within
a few clusters, and pairs of 200,000 such walks are counted. The network is that of `model=missrec_tuned` with item
IDs and all scorers, 64 wide. Its item IDs and adapters are set so that a cluster's items stay near one another, as
training leaves them; otherwise it is untrained. One thread. Requests are histories of 3 to 20 items that walk like
those. Milliseconds are of a request, CPU time.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from missrec_pl.data.items.table import ItemTable
from missrec_pl.fitting.sequence_pairs import item_pairs
from missrec_pl.nn.contract import DataShape, ItemInputs
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.missrec import MISSRecReleased
from missrec_pl.nn.scorers import Content, Cooccurrence, Scorers, SeenItems
from missrec_pl.serving import ServedRecommender, load
from missrec_pl.serving.bundle import Bundle
from missrec_pl.serving.items import ItemNames
from missrec_pl.serving.manifest import BundleManifest
from missrec_pl.serving.request import Request

WIDTH, CLUSTERS, WALKS, K = 64, 4096, 200_000, 50
CHUNK = 65_536


class Catalogue:
    """Clustered items, and walks among them."""

    def __init__(self, count: int) -> None:
        self.random = np.random.default_rng(0)
        self.count = count
        sizes = 1 / np.arange(1, CLUSTERS + 1) ** 0.7
        self.cluster = np.sort(self.random.choice(CLUSTERS, count, p=sizes / sizes.sum()))
        self.first = np.searchsorted(self.cluster, np.arange(CLUSTERS))
        self.size = np.bincount(self.cluster, minlength=CLUSTERS)

    def near(self, seed: int, noise: float) -> torch.Tensor:
        """``[N, WIDTH]`` unit vectors around those of the clusters."""
        draw = torch.Generator().manual_seed(seed)
        centres = F.normalize(torch.randn(CLUSTERS, WIDTH, generator=draw), dim=1)
        own = torch.randn(self.count, WIDTH, generator=draw)
        return F.normalize(centres[torch.from_numpy(self.cluster)] + noise * own / WIDTH**0.5, dim=1)

    def walks(self, count: int) -> list[np.ndarray]:
        """Items ``1..N``: a few clusters each, their first items more often."""
        lengths = self.random.integers(3, 21, size=count)
        mine = self.cluster[self.random.integers(self.count, size=(count, 3))]
        chosen = mine[np.repeat(np.arange(count), lengths), self.random.integers(3, size=lengths.sum())]
        offset = (self.size[chosen] * self.random.random(len(chosen)) ** 2).astype(np.int64)
        return np.split((self.first[chosen] + offset + 1).astype(np.int32), np.cumsum(lengths)[:-1])


def bundle_of(catalogue: Catalogue) -> Bundle:
    """As an export would be."""
    torch.manual_seed(0)
    count, dims = catalogue.count, {"text": WIDTH, "image": WIDTH}
    shape = {"num_items": count, "feature_dims": dims, "num_present": {"text": count, "image": count - count // 3}}
    shape |= {"attributes": {}, "max_history": 20, "num_folds": 0}
    data = DataShape(**shape)
    options = {"hidden_size": WIDTH, "num_heads": 2, "inner_size": 2 * WIDTH, "item_ids": True}
    network = MISSRecReleased(data, interests=InterestSettings(num_prototypes=256), **options).eval()
    ids = torch.arange(count + 1)
    has_image = torch.ones(count + 1, dtype=torch.bool)
    has_image[0], has_image[3::3] = False, False
    dense = {"text": catalogue.near(1, 0.75), "image": catalogue.near(2, 0.75)[has_image[1:]]}
    rows = {"text": ids[1:], "image": has_image.nonzero()[:, 0]}
    missing = torch.stack([ids == 0, ~has_image], 1)
    scorers = {"seen": SeenItems(data), "cooccurrence": Cooccurrence(data), "content": Content(data)}
    with torch.no_grad():
        network.id_embedding.weight[1:] = 0.02 * WIDTH**0.5 * catalogue.near(3, 0.75)
        for name in dims:
            rotation = torch.linalg.qr(torch.randn(WIDTH, WIDTH)).Q
            network.item_adapters.linear[name].weight.copy_(rotation)
        for name, part in scorers["content"].fitted.items():
            part.items, part.row_of = rows[name], torch.zeros(count + 1, dtype=torch.long)
            part.row_of[rows[name]] = torch.arange(1, len(rows[name]) + 1)
            part.vectors = torch.cat([torch.zeros(1, WIDTH), dense[name]])
        walks = catalogue.walks(WALKS)
        ends = np.concatenate([[0], np.cumsum([len(one) for one in walks])])
        scorers["cooccurrence"].pairs.take(item_pairs(np.concatenate(walks), ends, count))
        items = network.encode_items(ItemInputs(ItemTable(ids, missing, rows, dense)))
        table, tokens = network.interests, items.vectors[1:, 0]
        table.prototypes[1:] = tokens[torch.randperm(count)[:256]]
        for start in range(0, count, CHUNK):
            near = tokens[start : start + CHUNK] @ table.prototypes[1:].T
            table.assignment[start + 1 : start + 1 + len(near)] = near.argmax(1)[:, None] + 1
        table.assignment.masked_fill_(missing, 0)
        table.num_refreshes += 1
        items = network.encode_items(ItemInputs(ItemTable(ids, missing, rows, dense)))
    manifest = BundleManifest({"name": "MISSRecReleased", "arguments": {}}, {}, shape, 0.07, {}, {})
    bought = np.bincount(np.concatenate(walks), minlength=count + 1)[1:]
    names = [str(number) for number in range(1, count + 1)]
    network.requires_grad_(False)
    made = Scorers(scorers).eval().requires_grad_(False)
    return Bundle(manifest, network, made, items, ItemNames(names, ["shop"] * count, [""] * count, bought))


def held_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def timed(served: ServedRecommender, histories: list[list[str]], batch: int) -> tuple[list[list[str]], str]:
    """Answers, and p50 and p99 of a request."""
    found, seconds = [], []
    for start in range(0, len(histories), batch):
        before = time.process_time()
        ranked = served.answer(Request(histories[start : start + batch], K)).ranked
        seconds.append(1000 * (time.process_time() - before))
        found += [list(one.items) for one in ranked]
    return found, f"{np.median(seconds):>11,.1f}{np.percentile(seconds, 99):>11,.1f}"


def recall(found: list[list[str]], wanted: list[list[str]]) -> float:
    return float(np.mean([len({*one} & {*other}) / len(other) for one, other in zip(found, wanted, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--items", type=int, default=1 << 20, help="generated")
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--nominees", type=int, nargs="+", default=[100, 200, 400, 800])
    options = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    if options.bundle is None:
        catalogue = Catalogue(options.items)
        served = ServedRecommender(bundle_of(catalogue))
        histories = [[str(item) for item in walk] for walk in catalogue.walks(options.requests)]
    else:
        served = load(options.bundle)
        ids = np.array(served.item_ids)
        histories = [random.choice(ids, random.integers(3, 21)).tolist() for _ in range(options.requests)]
    print(f"{served.num_items:,} items, {len(histories)} histories, {held_mb():,.0f} MB held", flush=True)
    heads = ("recall@50", "p50 of 1", "p99", "p50 of 64", "p99", "build s", "more MB")
    print(" " * 16 + "".join(f"{head:>11}" for head in heads))
    wanted, alone = timed(served, histories, 1)
    _, together = timed(served, histories, 64)
    print(f"{'exact':<16}{1:>11.4f}{alone}{together}", flush=True)
    for count in options.nominees:
        before, start = held_mb(), time.process_time()
        if served.nominator is None:
            served.make_index(count)
        else:
            served.nominator.count = count
        built, more = time.process_time() - start, held_mb() - before
        found, alone = timed(served, histories, 1)
        _, together = timed(served, histories, 64)
        print(
            f"{f'index, {count}':<16}{recall(found, wanted):>11.4f}{alone}{together}{built:>11.1f}{more:>11,.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
