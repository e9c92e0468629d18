"""Writes small raw data sets in the public formats, all of the same interactions."""

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

Row = tuple[str, str, float, int]  # user, item, rating, seconds

ROWS: list[Row] = [
    ("ann", "B1", 5.0, 300),
    ("ann", "B2", 4.0, 100),
    ("ann", "B1", 1.0, 50),
    ("bob", "B1", 3.0, 10),
    ("bob", "B2", 2.0, 20),
    ("bob", "B9", 5.0, 30),
    ("cat", "B2", 5.0, 5),
    ("cat", "B1", 5.0, 6),
]
"""B9 has no metadata; ann meets B1 twice."""


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    text = "".join(line + "\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def amazon_reviews(path: Path, edition: str, rows: Sequence[Row] = ROWS) -> Path:
    if edition == "amazon2023":
        keys = ("user_id", "parent_asin", "rating", "timestamp")
        rows = [(user, item, rating, time * 1000 + 7) for user, item, rating, time in rows]
    else:
        keys = ("reviewerID", "asin", "overall", "unixReviewTime")
    return write_lines(path, [json.dumps({**dict(zip(keys, row, strict=True)), "text": "x"}) for row in rows])


def amazon_ratings(path: Path, edition: str, rows: Sequence[Row] = ROWS) -> Path:
    if edition == "amazon2018":
        lines = [f"{item},{user},{rating},{time}" for user, item, rating, time in rows]
    elif edition == "amazon2014":
        lines = [f"{user},{item},{rating},{time}" for user, item, rating, time in rows]
    else:
        lines = ["user_id,parent_asin,rating,timestamp"]
        lines += [f"{user},{item},{rating},{time * 1000}" for user, item, rating, time in rows]
    return write_lines(path, lines)


def amazon_metadata(path: Path, edition: str) -> Path:
    first, second = "Glue &amp; <b>Tape</b>", "Shoe\nPolish."
    if edition == "amazon2014":
        entries = [
            {
                "asin": "B1",
                "title": first,
                "categories": [["Home", "Craft"]],
                "brand": "Gorilla",
                "imUrl": "http://x/1",
            },
            {"asin": "B2", "title": second, "categories": [["Home", "Shoes"], ["Home", "Care"]]},
        ]
        return write_lines(path, [repr(entry) for entry in entries])
    if edition == "amazon2018":
        entries = [
            {"asin": "B1", "title": first, "category": ["Home", "Craft"], "brand": "Gorilla"},
            {"asin": "B2", "title": second, "category": ["Home", "Shoes", "Care"], "imageURL": ["http://x/2"]},
            {"asin": "B2", "title": "", "category": []},
            {"asin": "B9", "title": "", "category": []},
        ]
        entries[0]["imageURLHighRes"] = ["http://x/1"]
    else:
        entries = [
            {
                "parent_asin": "B1",
                "title": first,
                "categories": ["Home", "Craft"],
                "details": {"Brand": "Gorilla"},
            },
            {"parent_asin": "B2", "title": second, "categories": ["Home", "Shoes", "Care"], "store": None},
        ]
        entries[0]["images"] = [{"large": "http://x/1", "hi_res": None, "variant": "MAIN"}]
    return write_lines(path, [json.dumps(entry) for entry in entries])


def movielens(folder: Path, rows: Sequence[Row] = ROWS) -> Path:
    folder.mkdir(parents=True)
    lines = [f"{user},{item},{rating},{time}" for user, item, rating, time in rows]
    write_lines(folder / "ratings.csv", ["userId,movieId,rating,timestamp", *lines])
    with (folder / "movies.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([("movieId", "title", "genres"), ("B1", 'Glue, "the film"', "Home|Craft")])
        writer.writerow(("B2", "Shoes", "(no genres listed)"))
    return folder


def atomic(folder: Path, rows: Sequence[Row] = ROWS) -> Path:
    lines = [f"{user}\t{item}\t{rating}\t{time}.0" for user, item, rating, time in rows]
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    write_lines(folder / "shop.inter", [header, *lines])
    titles = ['B1\tGlue "strong"\tHome, Craft\t3.5', "B2\tShoes\tHome\t1.0"]
    header = "item_id:token\ttitle:token_seq\tcategories:token_seq\tprice:float"
    write_lines(folder / "shop.item", [header, *titles])
    return folder
