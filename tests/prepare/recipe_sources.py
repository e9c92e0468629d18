"""Small data sets in the layouts in which they are published; all hold the same interactions and titles."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

START = 1_500_000_000
LOG = [
    ("u1", "11", 0),
    ("u1", "12", 60),
    ("u2", "12", 120),
    ("u2", "13", 180),
    ("u3", "13", 240),
    ("u3", "11", 300),
]
"""User, item, seconds after ``START``."""
TITLES = {"11": "Red Shoe", "12": "Blue Hat", "13": 'Green "Coat"'}
WORDS = {"11": ["Shoes", "Red"], "12": ["Hats"], "13": ["Coats", "Green"]}


def moment(seconds: int, form: str) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).strftime(form)


def lines(path: Path, rows: Iterable[str], encoding: str = "utf-8") -> None:
    content = "".join(f"{row}\n" for row in rows).encode(encoding)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def table(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]], **options: str) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n", **options).writerows([names, *rows])  # type: ignore[arg-type]
    lines(path, stream.getvalue().splitlines())


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def steam(folder: Path) -> None:
    reviews = [
        {"username": user, "product_id": item, "date": moment(86_400 * second, "%Y-%m-%d"), "text": "it's 'fine'"}
        for user, item, second in LOG
    ]
    games = [{"id": item, "app_name": TITLES[item], "genres": WORDS[item], "developer": None} for item in TITLES]
    lines(folder / "steam_reviews.json.gz", map(repr, reviews))
    lines(folder / "steam_games.json.gz", map(repr, games))


def yelp(folder: Path) -> None:
    for name, rows in {
        "review": [
            {"user_id": user, "business_id": item, "stars": 4.0, "date": moment(second, "%Y-%m-%d %H:%M:%S")}
            for user, item, second in LOG
        ],
        "business": [
            {"business_id": item, "name": TITLES[item], "city": "Rome", "categories": ", ".join(WORDS[item])}
            for item in TITLES
        ],
    }.items():
        lines(folder / f"yelp_academic_dataset_{name}.json", map(json.dumps, rows))


def gowalla(folder: Path) -> None:
    rows = [
        f"{user[1:]}\t{moment(second, '%Y-%m-%dT%H:%M:%SZ')}\t30.2\t-97.7\t{item}" for user, item, second in LOG
    ]
    lines(folder / "loc-gowalla_totalCheckins.txt.gz", rows)


def lastfm(folder: Path) -> None:
    rows = [
        f'{user}\t{moment(second, "%Y-%m-%dT%H:%M:%SZ")}\t\t{TITLES[item]}\t\tSong "{second}'
        for user, item, second in LOG
    ]
    lines(folder / "userid-timestamp-artid-artname-traid-traname.tsv", rows)


def lastfm_tags(folder: Path) -> None:
    rows = [f"{user[1:]}\t{item}\t7\t{(START + second) * 1000}" for user, item, second in LOG]
    lines(folder / "user_taggedartists-timestamps.dat", ["userID\tartistID\ttagID\ttimestamp", *rows])
    rows = [f"{item}\t{TITLES[item]}\thttp://last/{item}\thttp://pictures/{item}.jpg" for item in TITLES]
    lines(folder / "artists.dat", ["id\tname\turl\tpictureURL", *rows])


def mind(folder: Path) -> None:
    form = "%m/%d/%Y %I:%M:%S %p"
    rows = [
        f"{number}\t{user}\t{moment(second, form)}\tN99 N98\tN90-0 {item}-1 N91-0"
        for number, (user, item, second) in enumerate(LOG)
    ]
    lines(folder / "behaviors.tsv", rows)
    rows = [f"{item}\tnews\tlocal\t{TITLES[item]}\tAbout it.\thttps://n/{item}\t[]\t[]" for item in TITLES]
    lines(folder / "news.tsv", rows)


def hm(folder: Path) -> None:
    rows = [(moment(86_400 * second, "%Y-%m-%d"), user, f"01{item}", 0.05, 2) for user, item, second in LOG]
    table(
        folder / "transactions_train.csv",
        ("t_dat", "customer_id", "article_id", "price", "sales_channel_id"),
        rows,
    )
    kinds = ("product_type_name", "product_group_name", "colour_group_name", "department_name", "detail_desc")
    articles = [(f"01{item}", TITLES[item], *("Thing",) * 5) for item in TITLES]
    table(folder / "articles.csv", ("article_id", "prod_name", *kinds), articles)
    for item in TITLES:
        picture(folder / "images" / "011" / f"01{item}.jpg")


def pixelrec(folder: Path) -> None:
    table(folder / "Pixel200K.csv", ("item_id", "user_id", "timestamp"), [(i, u, START + s) for u, i, s in LOG])
    rows = [(item, 5, TITLES[item], "tag", "about it") for item in TITLES]
    table(folder / "item_info.csv", ("item_id", "view_number", "title", "tag", "description"), rows)
    for item in TITLES:
        picture(folder / "cover" / f"{item}.jpg")


def microlens(folder: Path) -> None:
    rows = [(u, i, (START + s) * 1000) for u, i, s in LOG]
    table(folder / "MicroLens-100k_pairs.csv", ("user", "item", "timestamp"), rows)
    table(folder / "MicroLens-100k_title_en.csv", ("item", "title"), TITLES.items())
    for item in TITLES:
        picture(folder / "MicroLens-100k_covers" / f"{item}.jpg")


def retailrocket(folder: Path) -> None:
    rows = [((START + s) * 1000, u[1:], "view", i, "") for u, i, s in LOG]
    table(folder / "events.csv", ("timestamp", "visitorid", "event", "itemid", "transactionid"), rows)
    names = ("timestamp", "itemid", "property", "value")
    for part, items in enumerate((("11", "12"), ("13",)), start=1):
        properties = [
            (START * 1000, item, *pair) for item in items for pair in (("categoryid", f"1{item}"), ("790", "n5"))
        ]
        table(folder / f"item_properties_part{part}.csv", names, properties)


def huggingface(folder: Path) -> None:
    folder.mkdir(parents=True)
    columns = {"user_id": [u for u, _, _ in LOG], "parent_asin": [i for _, i, _ in LOG]}
    log = pa.table({**columns, "timestamp": pa.array([(START + s) * 1000 for *_, s in LOG])})
    for part, rows in enumerate((log.slice(0, 4), log.slice(4))):
        with pa.ipc.new_stream(folder / f"data-0000{part}-of-00002.arrow", log.schema) as writer:
            writer.write_table(rows)
    (folder / "state.json").write_text("{}")
    (folder / "items").mkdir()
    items = pa.table({"parent_asin": list(TITLES), "title": list(TITLES.values())})
    pq.write_table(items, folder / "items" / "train-00000-of-00001.parquet")


def movielens_100k(folder: Path) -> None:
    lines(folder / "u.data", [f"{u[1:]}\t{i}\t4\t{START + s}" for u, i, s in LOG])
    flags = {"11": (1, 3), "12": (2,), "13": (18,)}
    rows = [
        "|".join(
            [i, f"{TITLES[i]} é", "01-Jan-1995", "", "http://u", *(str(int(n in flags[i])) for n in range(19))]
        )
        for i in TITLES
    ]
    lines(folder / "u.item", rows, "latin-1")


def movielens_1m(folder: Path) -> None:
    archive = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("ml-1m/ratings.dat", "".join(f"{u[1:]}::{i}::4::{START + s}\n" for u, i, s in LOG))
        movies = "".join(f"{i}::{TITLES[i]} é::{'|'.join(WORDS[i])}\n" for i in TITLES)
        packed.writestr("ml-1m/movies.dat", movies.encode("latin-1"))


def amazon(folder: Path, year: str, stem: str) -> None:
    if year == "2018":
        lines(folder / f"{stem}.csv", [f"{i},{u},5.0,{START + s}" for u, i, s in LOG])
    elif year == "2014":
        lines(folder / f"ratings_{stem}.csv", [f"{u},{i},5.0,{START + s}" for u, i, s in LOG])
    else:
        rows = [(u, i, 5.0, (START + s) * 1000) for u, i, s in LOG]
        table(folder / f"{stem}.csv", ("user_id", "parent_asin", "rating", "timestamp"), rows)
    key = "parent_asin" if year == "2023" else "asin"
    entries = [
        {key: i, "title": TITLES[i], "categories" if year != "2018" else "category": WORDS[i]} for i in TITLES
    ]
    write = repr if year == "2014" else json.dumps
    suffix = "jsonl" if year == "2023" else "json"
    lines(folder / f"meta_{stem}.{suffix}.gz", map(write, entries))


def recbole(folder: Path) -> None:
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    lines(folder / "ml-100k.inter", [header, *(f"{u}\t{i}\t4\t{START + s}" for u, i, s in LOG)])
    header = "item_id:token\tmovie_title:token_seq\tclass:token_seq"
    lines(folder / "ml-100k.item", [header, *(f"{i}\t{TITLES[i]}\t{' '.join(WORDS[i])}" for i in TITLES)])


def random_log(rows: int, users: int, items: int, seed: int = 0) -> list[tuple[str, str, int]]:
    """Interactions of which some repeat, in no order."""
    random = np.random.default_rng(seed)
    return [
        (f"u{u}", f"i{i}", int(s)) for u, i, s in random.integers(0, (users, items, 10_000), (rows, 3)).tolist()
    ]
