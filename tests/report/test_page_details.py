"""Interests and examples of a page: what they show is what the run's own files say."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from runs import SMALL, composed, places

from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.experiment.cli import NOISE
from missrec_pl.experiment.train import train
from missrec_pl.report.__main__ import main
from missrec_pl.report.page.interest_map import on_plane

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE]
ITEMS, USERS = 14, 9


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a run on a shop whose items have pictures, but for the last."""
    folder = tmp_path_factory.mktemp("details")
    photos = folder / "data" / "photos"
    photos.mkdir(parents=True)
    files = [photos / f"{item}.png" for item in range(ITEMS - 1)]
    for number, file in enumerate(files):
        Image.new("RGBA", (300, 200), (number * 15, 90, 160, 255)).save(file)
    random = np.random.default_rng(0)
    sequences = [random.permutation(ITEMS)[: 5 + user % 4] + 1 for user in range(USERS)]
    write_domain(
        folder / "data" / "shop",
        name="shop",
        raw_item_ids=[f"sku{item}" for item in range(ITEMS)],
        texts=["", *(f"thing {item}" for item in range(1, ITEMS))],
        sequences=Sequences.from_lists([one.tolist() for one in sequences]),
        raw_user_ids=[f"buyer{user}" for user in range(USERS)],
        features={
            "image": FeatureMatrix(random.normal(size=(ITEMS, 4)).astype(np.float32), np.ones(ITEMS, bool), "test")
        },
        image_paths=[*map(str, files), None],
    )
    small = (
        "data=domain",
        "data.name=shop",
        *SMALL,
        "trainer=cpu",
        "trainer.max_epochs=1",
        "callbacks.progress=null",
    )
    train(composed(*small, "interest.num_prototypes=3", *places(folder)))
    assert main(["page", str(folder / "run"), "--out", str(folder / "page")]) == 0
    return folder / "page", folder / "run"


def facts_of(page):
    return json.loads((page[0] / "data.js").read_text().removeprefix("window.REPORT = ").rstrip(";\n"))


def test_examples_have_the_ranks_of_the_test(page):
    (found,) = facts_of(page)["examples"]
    ranks = dict(
        zip(
            *pq.read_table(page[1] / "test_ranks.parquet").select(["user", "rank"]).to_pydict().values(),
            strict=True,
        )
    )
    assert found["users"]
    for user in found["users"]:
        assert user["rank"] == ranks[int(user["user"].removeprefix("buyer"))]
        places = [place for place, item in enumerate(user["top"], 1) if item["isTarget"]]
        assert places == ([user["rank"]] if user["rank"] <= 10 else [])
        assert user["target"]["title"].startswith(("thing", "item sku"))


def test_a_picture_is_small_and_beside_the_page_and_what_has_none_says_so(page):
    (found,) = facts_of(page)["maps"]
    tokens = {token["title"]: token["image"] for token in found["tokens"]}
    assert len(tokens) == found["numTokens"] == ITEMS
    assert tokens["thing 13"] is None
    with Image.open(page[0] / tokens["thing 1"]) as small:
        assert small.size[0] == 112
        assert abs(small.convert("RGB").getpixel((5, 5))[0] - 15) < 6
    assert sum(one["size"] for one in found["prototypes"]) == ITEMS


def test_the_plane_is_that_of_the_two_main_directions():
    flat = np.random.default_rng(1).normal(size=(40, 2)) @ np.array([[3.0, 0, 1, 0], [0, 1.0, 0, 2]])
    place = on_plane(flat, "pca", 0)
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    assert np.allclose(np.linalg.norm(place[:, None] - place[None], axis=-1), apart, atol=1e-3)
