"""``report interests``: what it prints is what the checkpoint and the data say, computed here by hand."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.image import imread
from runs import SMALL, composed, places, tiny

from missrec_pl.clustering import dpc_knn
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.experiment.cli import NOISE
from missrec_pl.experiment.interests.numbers import choose, mean_cosine
from missrec_pl.experiment.interests.stored import decision_graph, read_interests
from missrec_pl.experiment.rebuilding import rebuilt
from missrec_pl.experiment.train import train
from missrec_pl.report.__main__ import main
from missrec_pl.report.interests.figure import sample_cosines

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE]

EVERYTHING = ("--prototypes", "10000", "--items", "10000")
HEADING = re.compile(r"prototype (\d+) \((\w+)\): ([\d,]+) tokens \(.*\), .*cosine (\S+)")
ITEM = re.compile(r" +(\d+\.\d{3})  (?:(text|image|text\+image) +)?(.*?)(?:  \(x(\d+)\))?")
LONG = "a long text " * 20


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("interests")


@pytest.fixture(scope="module")
def finetuned(shared):
    """Items with text, image or both; the table is an epoch older than the weights."""
    overrides = ("test=false", "optim.optimizer.lr=0.01", "interest.method.k=5", "interest.num_prototypes=60")
    train(tiny(shared, *overrides, name="finetuned"))
    return shared / "finetuned"


@pytest.fixture(scope="module")
def pretrained(shared):
    """Three domains, text only."""
    train(tiny(shared, "phase=pretrain", "data.modalities=[text]", name="pretrained"))
    return shared / "pretrained"


def shop(folder, seed=0):
    """A native domain: item 1 has no text, item 2 a long one on two lines, the last three one title."""
    texts = ["", f"two\nlines {LONG}", *(f"thing {item}" for item in range(7)), *["twin"] * 3]
    rows = np.random.default_rng(seed).normal(size=(12, 4)).astype(np.float32)
    write_domain(
        folder,
        name="shop",
        raw_item_ids=[f"raw{item}" for item in range(12)],
        texts=texts,
        sequences=Sequences.from_lists([[(user + 2 * step) % 12 + 1 for step in range(6)] for user in range(6)]),
        raw_user_ids=[str(user) for user in range(6)],
        features={"image": FeatureMatrix(rows, np.ones(12, bool), "test")},
    )


def train_on_shop(tmp_path, *overrides):
    shop(tmp_path / "data" / "shop")
    small = ("data=domain", "data.name=shop", *SMALL, "trainer=cpu", "trainer.max_epochs=1", "test=false")
    few = ("callbacks.progress=null", "interest.num_prototypes=2", *overrides)
    train(composed(*small, *few, *places(tmp_path)))
    return tmp_path / "run"


def report(capsys, *arguments):
    code = main(["interests", *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out.splitlines()


def refused(capsys, *arguments):
    assert main(["interests", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    return captured.err


def by_hand(run, domain):
    """Tokens, 0-based prototypes, modality names and items of a run on one domain, straight from the files."""
    weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    table = weights["model.fitted.interests.assignment"]
    tokens, prototype, names, items = [], [], [], []
    for item in range(1, domain.num_items + 1):
        for column, name in enumerate(("text", "image")):
            if domain.present(name)[item]:
                layer = f"model.item_adapters.linear.{name}"
                features = torch.tensor(domain.features(name)[item], dtype=torch.float32)
                tokens.append(weights[f"{layer}.weight"] @ features + weights[f"{layer}.bias"])
                prototype.append(int(table[item, column]) - 1)
                names.append(name)
                items.append(item)
    return (
        torch.stack(tokens),
        torch.tensor(prototype),
        names,
        items,
        weights["model.fitted.interests.prototypes"][1:],
    )


@pytest.fixture
def domain(shared, finetuned):
    manifests = [file.parent for file in (shared / "cache").rglob("domain.json")]
    digests = torch.load(finetuned / "checkpoints" / "best.ckpt", weights_only=True)["missrec_pl"]["data"]
    return next(found for found in map(Domain.open, manifests) if found.fingerprint in digests.values())


def listed(lines):
    """Prototypes of the report: heading's groups, and the groups of the items."""
    found = []
    for line in lines:
        if heading := HEADING.fullmatch(line):
            found.append((heading.groups(), []))
        elif found and (item := ITEM.fullmatch(line)):
            found[-1][1].append(item.groups())
    return found


def mean_of_pairs(tokens, groups):
    """Mean over tokens of the mean cosine with the others of their group, pair by pair."""
    cosines = F.cosine_similarity(tokens[:, None], tokens, dim=-1)
    same = (groups[:, None] == groups) & ~torch.eye(len(tokens), dtype=torch.bool)
    return float(((cosines * same).sum(1)[same.any(1)] / same.sum(1)[same.any(1)]).mean())


def per_cent(fraction):
    return f"{100 * fraction:.0f} %" if fraction >= 0.1 else f"{100 * fraction:.1f} %"


def test_overall_numbers_are_those_of_the_checkpoint(finetuned, domain, capsys):
    tokens, prototype, names, _, prototypes = by_hand(finetuned, domain)
    sizes = prototype.bincount(minlength=len(prototypes))
    modality = torch.tensor([name == "image" for name in names]).long()
    images = torch.zeros(len(sizes)).index_add_(0, prototype, modality.float())
    distances = torch.cdist(tokens, prototypes, compute_mode="donot_use_mm_for_euclid_dist")
    moved = (distances.min(1).values < distances[torch.arange(len(tokens)), prototype]).float().mean()
    text = "\n".join(report(capsys, finetuned))
    assert (sizes == 1).any()
    assert moved > 0
    assert f"prototypes  {len(prototypes)} by DPCKNN, for {len(tokens):,} item tokens" in text
    assert f"sizes       largest {sizes.max()} ({per_cent(sizes.max() / len(tokens))} of the tokens), " in text
    assert f"median {sizes.median()}, {(sizes == 1).sum()} of a single token" in text
    within, anywhere = mean_of_pairs(tokens, prototype), mean_of_pairs(tokens, torch.zeros_like(prototype))
    alike = mean_of_pairs(tokens, modality)
    assert f"cosine      {within:.2f} within a prototype, {anywhere:.2f} at random ({alike:.2f} within" in text
    alone = (int((images == 0).sum()), int((images == sizes).sum()))
    mixed = len(sizes) - sum(alone)
    assert f"modalities  prototypes of text alone {alone[0]}, image alone {alone[1]}, of several {mixed}" in text
    assert f"drift       {per_cent(moved)} of the tokens" in text


def test_every_token_is_counted_once(finetuned, domain, capsys):
    _, prototype, _, _, prototypes = by_hand(finetuned, domain)
    sizes = prototype.bincount(minlength=len(prototypes))
    shown = {
        int(number) - 1: int(size) for (number, _, size, _), _ in listed(report(capsys, finetuned, *EVERYTHING))
    }
    assert shown == {row: int(size) for row, size in enumerate(sizes) if size > 1}
    assert sum(shown.values()) + int((sizes == 1).sum()) == len(prototype)


def test_nearest_items_are_the_nearest(finetuned, domain, capsys):
    tokens, prototype, names, items, prototypes = by_hand(finetuned, domain)
    texts = domain.texts()
    for (number, _, _, cosine), shown in listed(report(capsys, finetuned, *EVERYTHING)):
        members = (prototype == int(number) - 1).nonzero()[:, 0].tolist()
        distance = {row: float((tokens[row] - prototypes[int(number) - 1]).norm()) for row in members}
        expected = {}
        for row in sorted(members, key=distance.get):
            title = texts[items[row]] or f"item {domain.raw_item_ids()[items[row]]} (no text)"
            _, kinds, found = expected.setdefault(title, (distance[row], set(), set()))
            kinds.add(names[row])
            found.add(items[row])
        assert len(shown) == len(expected)
        for (apart, kinds, title, count), (whole, right) in zip(shown, expected.items(), strict=True):
            assert float(apart) == pytest.approx(right[0], abs=6e-4)
            assert set(kinds.split("+")) == right[1]
            assert int(count or 1) == len(right[2])
            assert title == whole or (title.endswith("…") and whole.startswith(title[:-1]))
        chosen = tokens[members]
        assert float(cosine) == pytest.approx(mean_of_pairs(chosen, torch.zeros(len(members))), abs=6e-3)


def test_files_hold_what_was_printed(finetuned, capsys):
    lines = report(capsys, finetuned, "--items", 2)
    page = (finetuned / "interests.md").read_text()
    assert lines[-1] == f"written: {finetuned / 'interests.png'}, {finetuned / 'interests.md'}"
    assert "\n".join(lines[:-2]) in page
    assert "](interests.png)" in page
    assert "Decision graph" in page
    pixels = imread(finetuned / "interests.png")
    assert min(pixels.shape[:2]) > 800
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 100
    assert not list(finetuned.rglob("*.part"))
    assert all(len(items) <= 2 for _, items in listed(lines))


def test_the_decision_graph_uses_the_options_of_the_run(finetuned):
    stored = read_interests(rebuilt(finetuned / "checkpoints" / "best.ckpt"))
    graph = decision_graph(stored)
    direct = dpc_knn(stored.tokens, len(stored.prototypes), 5)
    assert torch.equal(graph.delta, direct.delta)
    assert torch.equal(graph.log_density, direct.log_density)
    assert not torch.equal(graph.log_density, dpc_knn(stored.tokens, len(stored.prototypes), 16).log_density)


def test_a_checkpoint_and_another_place(finetuned, tmp_path, capsys):
    checkpoint = shutil.copy(finetuned / "checkpoints" / "last.ckpt", tmp_path / "some.ckpt")
    assert report(capsys, checkpoint)[-1].startswith(f"written: {tmp_path / 'interests.png'}")
    (tmp_path / "a folder").mkdir()
    out = tmp_path / "a folder" / "my interests.png"
    report(capsys, checkpoint, "--out", out)
    assert "](my%20interests.png)" in out.with_suffix(".md").read_text()
    assert out.read_bytes().startswith(b"\x89PNG")


def test_several_domains_and_one_modality(pretrained, capsys):
    lines = report(capsys, pretrained, *EVERYTHING)
    names = list(torch.load(pretrained / "checkpoints" / "best.ckpt", weights_only=True)["missrec_pl"]["data"])
    assert len(names) == 3
    assert f"interests in {', '.join(names)}" in lines[0]
    assert "(all text)" in lines[1]
    alone = re.search(r"^domains +prototypes of (.*), of several (\d+)$", "\n".join(lines), re.MULTILINE)
    counts = [int(count) for count in re.findall(r"alone (\d+)", alone[1])]
    assert sum(counts) + int(alone[2]) == int(lines[1].split()[1])
    titles = [title for _, items in listed(lines) for *_, title, _ in items]
    assert {title[1:].partition("] ")[0] for title in titles} == set(names)
    assert not any(line.startswith("modalities") for line in lines)


def test_titles_and_moved_data(tmp_path, capsys):
    run = train_on_shop(tmp_path, "interest.method.k=3")
    lines = report(capsys, run, *EVERYTHING)
    titles = [(title, count) for _, items in listed(lines) for *_, title, count in items]
    assert ("item raw0 (no text)", None) in titles
    long = next(title for title, _ in titles if title.startswith("two lines a long text"))
    assert long.endswith("…")
    assert len(long) <= 90
    assert sum(int(count or 1) for title, count in titles if title == "twin") == 3
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    error = refused(capsys, run)
    assert str(tmp_path / "data" / "shop") in error
    assert "--data-dir" in error
    assert report(capsys, run, *EVERYTHING, "--data-dir", tmp_path / "elsewhere") == lines
    shop(tmp_path / "other" / "shop", seed=1)
    assert "content has changed" in refused(capsys, run, "--data-dir", tmp_path / "other")


def test_other_methods_have_no_decision_graph(tmp_path, capsys):
    run = train_on_shop(tmp_path, "interest=kmeans", "interest.num_prototypes=2")
    lines = report(capsys, run)
    assert "2 by KMeans, for 12 item tokens (all image)" in lines[1]
    assert "graph       none: only interest=dpc_knn has densities and deltas" in lines
    assert (run / "interests.png").stat().st_size > 10_000
    assert "Decision graph" not in (run / "interests.md").read_text()


def test_no_interests_have_nothing_to_show(tmp_path, capsys):
    run = train_on_shop(tmp_path, "interest=none", "interest.num_prototypes=1")
    assert "interest=none" in refused(capsys, run)


def test_an_empty_table_is_refused(finetuned, tmp_path, capsys):
    content = torch.load(finetuned / "checkpoints" / "best.ckpt", weights_only=True)
    content["state_dict"]["model.fitted.interests.num_refreshes"].zero_()
    torch.save(content, tmp_path / "empty.ckpt")
    assert "interest table is empty" in refused(capsys, tmp_path / "empty.ckpt")


def test_a_config_of_another_version_is_refused(finetuned, tmp_path, capsys):
    content = torch.load(finetuned / "checkpoints" / "best.ckpt", weights_only=True)
    del content["missrec_pl"]["config"]["data"]["source"]
    torch.save(content, tmp_path / "old.ckpt")
    assert "another version of this project" in refused(capsys, tmp_path / "old.ckpt")


def test_folders_without_checkpoint_are_refused(finetuned, tmp_path, capsys):
    assert "does not exist" in refused(capsys, tmp_path / "none")
    assert "checkpoints/best.ckpt nor checkpoints/last.ckpt" in refused(capsys, tmp_path)
    shutil.copytree(finetuned, tmp_path / "sweep" / "0")
    assert f"e.g. {tmp_path / 'sweep' / '0' / 'checkpoints' / 'best.ckpt'}" in refused(capsys, tmp_path / "sweep")
    (tmp_path / "text.ckpt").write_text("these are not weights")
    assert "text.ckpt cannot be read" in refused(capsys, tmp_path / "text.ckpt")


def test_where_nothing_can_be_written_nothing_is_computed(finetuned, tmp_path, capsys):
    assert "write for example" in refused(capsys, finetuned, "--out", tmp_path / "a.html")
    assert "there is no folder" in refused(capsys, finetuned, "--out", tmp_path / "none" / "a.png")


def test_what_cannot_be_replaced_is_left_alone(finetuned, tmp_path, capsys):
    (tmp_path / "taken.png").mkdir()
    assert main(["interests", str(finetuned), "--out", str(tmp_path / "taken.png")]) == 2
    assert "taken.png cannot be written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "taken.png"]


def test_without_matplotlib_the_extra_is_named(finetuned, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert 'pip install "missrec-pl[report]"' in refused(capsys, finetuned)


@pytest.mark.parametrize("flag", ["--prototypes", "--items"])
@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_counts_are_checked(flag, value, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["interests", "somewhere", f"{flag}={value}"])
    assert exit_info.value.code == 2
    assert "no whole number from 1" in capsys.readouterr().err


def test_other_reports_wait_for_neither_torch_nor_matplotlib():
    program = "import sys, missrec_pl.report.__main__; print({'torch', 'matplotlib'} & set(sys.modules))"
    checked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert checked.stdout == "set()\n"


def test_chosen_prototypes_are_large_medium_and_random():
    sizes = torch.tensor([1, 50, 2, 40, 0, 30, 10, 9, 8, 7, 3, 1])
    chosen = choose(sizes, 7, seed=0)
    assert chosen[:3] == [(1, "largest"), (3, "largest"), (5, "largest")]
    assert chosen[3:5] == [(6, "medium"), (7, "medium")]
    assert [why for _, why in chosen[5:]] == ["random", "random"]
    assert chosen == choose(sizes, 7, seed=0)
    assert len({position for position, _ in chosen}) == 7
    assert {position for seed in range(40) for position, why in choose(sizes, 7, seed) if why == "random"} == {
        2, 8, 9, 10
    }  # fmt: skip
    assert {position for position, _ in choose(sizes, 100, seed=0)} == {1, 2, 3, 5, 6, 7, 8, 9, 10}
    assert choose(torch.tensor([1, 0, 1]), 1, seed=0) == [(0, "largest")]


def test_sampled_pairs_stay_within_their_group_and_apart():
    tokens = torch.eye(6)[[0, 1, 0, 2, 1, 3]]
    cosines = sample_cosines(tokens, torch.tensor([0, 1, 0, 2, 1, 2]), seed=0)
    assert cosines.unique().tolist() == [0.0, 1.0]
    assert float(cosines.mean()) == pytest.approx(4 / 6, abs=0.02)
    distinct = sample_cosines(torch.eye(4), torch.tensor([0, 0, 0, 1]), seed=0)
    assert float(distinct.max()) == 0.0


def test_mean_cosine_is_that_of_all_pairs():
    tokens = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    groups = torch.randint(8, (40,), generator=torch.Generator().manual_seed(1))
    assert mean_cosine(tokens, groups) == pytest.approx(mean_of_pairs(tokens, groups), abs=1e-6)
    assert np.isnan(mean_cosine(tokens[:2], torch.tensor([0, 1])))
