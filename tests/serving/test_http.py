"""Over HTTP: what is answered, what is refused and how, and that nothing that is asked breaks it."""

import asyncio
import json
import random
import shutil
import threading

import httpx
import pytest
from served_shop import IDS, ITEMS, written

from missrec_pl.serving import load
from missrec_pl.serving.http.app import make_app
from missrec_pl.serving.http.limits import MAX_BATCH, MAX_BODY, MAX_HISTORY, MAX_K, BodyLimits
from missrec_pl.serving.http.live import Live

TOKEN = "t" * 20
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("shop") / "tuned")


@pytest.fixture
def app(folder):
    return make_app(Live(lambda: load(folder)), token=TOKEN)


def ask(app, *requests):
    """The answers to requests ``(method, path, what httpx takes)`` in turn."""

    async def run():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return [await client.request(method, path, **more) for method, path, more in requests]

    return asyncio.run(run())


def post(app, path, body, **headers):
    return ask(app, ("POST", path, {"json": body, "headers": headers}))[0]


def test_recommendations_are_those_of_python(app, folder):
    histories = [["i1", "i2"], ["nobody"], []]
    body = {"histories": histories, "k": 3, "blocked": ["i5"]}
    answer = post(app, "/recommend", body)
    assert answer.status_code == 200
    served = load(folder)
    wanted = served.recommend(histories, k=3, blocked=["i5"])
    found = answer.json()
    assert found["bundle"] == served.about.fingerprint
    items = [one["item"] for row in found["recommendations"] for one in row["items"]]
    assert items == wanted["item"].to_pylist()
    assert [row["unknown"] for row in found["recommendations"]] == [[], ["nobody"], []]
    assert found["recommendations"][1]["items"][0] == {"item": "i1", "score": None, "title": "Title of i1"}
    one = post(app, "/recommend", {"history": ["i1", "i2"], "k": 3, "blocked": ["i5"]}).json()
    assert one["recommendations"] == found["recommendations"][:1]


def test_similar_items(app, folder):
    answer = post(app, "/similar", {"item": "i1", "k": 3})
    wanted = load(folder).similar("i1", 3)["item"].to_pylist()
    assert [one["item"] for one in answer.json()["items"]] == wanted


def test_states(app, folder):
    health, ready, docs, metrics = ask(
        app, ("GET", "/health", {}), ("GET", "/ready", {}), ("GET", "/openapi.json", {}), ("GET", "/metrics", {})
    )
    assert health.json() == {"status": "ok"}
    assert ready.json()["network"] == "MISSRecReleased"
    assert ready.json()["items"] == ITEMS
    assert {"/recommend", "/similar", "/items", "/swap"} <= docs.json()["paths"].keys()
    assert "k" in docs.json()["components"]["schemas"]["RecommendRequest"]["properties"]
    assert 'missrec_requests_total{path="/ready",status="200"} 1.0' in metrics.text
    assert f"missrec_items {float(ITEMS)}" in metrics.text


def test_requests_are_counted(app):
    post(app, "/recommend", {"histories": [["i1"], ["x", "y"]]})
    post(app, "/nowhere/at/all", {})
    text = ask(app, ("GET", "/metrics", {}))[0].text
    assert "missrec_histories_total 2.0" in text
    assert "missrec_unknown_items_total 2.0" in text
    assert 'missrec_requests_total{path="other",status="404"} 1.0' in text


def test_items_come_and_go(app):
    new = {"id": "new", "title": "New", "features": {"text": [1, 2, 3, 4, 5]}}
    answer = post(app, "/items", {"add": [new], "remove": ["i2"]}, **BEARER)
    assert answer.json() == {"added": 1, "removed": 1, "items": ITEMS}
    found = post(app, "/recommend", {"history": ["i1"], "k": 99}).json()["recommendations"][0]["items"]
    assert {one["item"] for one in found} == {*IDS, "new"} - {"i1", "i2"}
    assert [one["title"] for one in found if one["item"] == "new"] == ["New"]


def test_changes_are_for_who_has_the_token(app, folder):
    for said in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN[:-1]}):
        for path in ("/items", "/swap"):
            assert post(app, path, {}, **said).status_code == 401
    closed = make_app(Live(lambda: load(folder)))
    for path in ("/items", "/swap"):
        answer = post(closed, path, {}, **BEARER)
        assert answer.status_code == 403
        assert "--token-file" in answer.json()["errors"][0]["reason"]


def test_another_bundle_takes_its_place_after_a_comparison(tmp_path, folder):
    place = tmp_path / "live"
    shutil.copytree(folder, place)
    live = Live(lambda: load(place))
    app = make_app(live, token=TOKEN)
    old = live.served.about.fingerprint
    shutil.rmtree(place)
    written(place, "ids")
    body = {"histories": [["i1"], ["i2", "i3"]], "k": 5}
    dry = post(app, "/swap", {**body, "dry_run": True}, **BEARER).json()
    assert not dry["swapped"]
    assert len(dry["answers"]) == 2
    assert len(dry["answers"][0]["old"]) == len(dry["answers"][0]["new"]) == 5
    assert 0 <= dry["overlap"] < 1
    assert not post(app, "/swap", {**body, "min_overlap": 1.0}, **BEARER).json()["swapped"]
    assert live.served.about.fingerprint == old
    assert post(app, "/swap", body, **BEARER).json()["swapped"]
    assert live.served.about.network["name"] == "SASRec"
    (place / "bundle.json").write_text("{}")
    answer = post(app, "/swap", {}, **BEARER)
    assert answer.status_code == 409
    assert "the bundle in use stays" in answer.json()["errors"][0]["reason"]
    assert post(app, "/recommend", {"history": ["i1"]}).status_code == 200


def test_no_request_is_lost_while_bundles_change(folder):
    live = Live(lambda: load(folder))
    app = make_app(live, token=TOKEN)
    swapping = threading.Thread(target=lambda: [live.swap() for _ in range(3)])
    swapping.start()
    found = []
    while swapping.is_alive():
        found += ask(app, *[("POST", "/recommend", {"json": {"history": ["i1"]}})] * 5)
    swapping.join()
    assert found
    assert {answer.status_code for answer in found} == {200}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"history": ["i1"], "histories": []}, "body"),
        ({"history": "i1"}, "history"),
        ({"history": [["i1"]]}, "history.0"),
        ({"history": [1.5]}, "history.0"),
        ({"history": [""]}, "history.0"),
        ({"history": ["x" * 300]}, "history.0"),
        ({"history": ["i1"] * (MAX_HISTORY + 1)}, "history"),
        ({"histories": [["i1"]] * (MAX_BATCH + 1)}, "histories"),
        ({"history": ["i1"], "k": 0}, "k"),
        ({"history": ["i1"], "k": MAX_K + 1}, "k"),
        ({"history": ["i1"], "k": "10"}, "k"),
        ({"history": ["i1"], "k": True}, "k"),
        ({"history": ["i1"], "top": 3}, "top"),
        ({"history": ["i1"], "unknown": "maybe"}, "unknown"),
        ({"history": ["nobody"], "unknown": "refuse"}, "histories[0]"),
        ({"history": ["i1"], "at": 10**30}, "at"),
        ([], "body"),
        ("i1", "body"),
        (None, "body"),
    ],
)
def test_a_mistake_is_named(app, body, field):
    answer = post(app, "/recommend", body)
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert errors[0]["field"] == field
    assert errors[0]["reason"]
    assert len(answer.content) < 4000


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"x" * (3 << 20), 413),
        (b'{"history": [' + b'"i1",' * (MAX_BODY // 4) + b'"i1"]}', 413),
        (b"[" * 5000, 400),
        (b'{"history": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
        (b"", 422),
        (b"{", 422),
        (b"\xff\xfe\xff", 400),
        (b'{"history": ["\\ud800"]}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"history": [NaN], "k": Infinity}', 422),
        (b'{"history": [' + b"9" * 5000 + b"]}", 400),
        (b'{"history": [1e999]}', 422),
        (b'{"history": ["i1"], "k": ' + b"9" * 300 + b"}", 422),
    ],
)
def test_bodies_that_are_none(app, content, status):
    headers = {"Content-Type": "application/json"}
    answer, after = ask(
        app, ("POST", "/recommend", {"content": content, "headers": headers}), ("GET", "/health", {})
    )
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["reason"]
    assert after.status_code == 200


def test_a_body_that_is_too_large_is_read_to_its_end():
    chunks, sent = [b"x" * 65536] * 48, []

    async def receive():
        return {"type": "http.request", "body": chunks.pop(), "more_body": bool(chunks)}

    async def send(message):
        sent.append((len(chunks), message))

    async def unreachable(*_):
        raise AssertionError

    asyncio.run(BodyLimits(unreachable)({"type": "http"}, receive, send))
    assert [left for left, _ in sent] == [0, 0]
    assert sent[0][1]["status"] == 413


def test_a_body_that_does_not_come():
    sent = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    asyncio.run(BodyLimits(None, seconds=0.01)({"type": "http"}, receive, send))
    assert sent[0]["status"] == 408


def test_an_answer_that_takes_too_long(folder, monkeypatch):
    live, go_on = Live(lambda: load(folder)), threading.Event()
    monkeypatch.setattr(live.served, "answer", lambda *_, **__: go_on.wait(20))
    answer = post(make_app(live, seconds=0.05), "/recommend", {"history": ["i1"]})
    go_on.set()
    assert answer.status_code == 503


def malformed(seed):
    """A request of the kind that scanners and broken clients send."""
    chance = random.Random(seed)
    odd = [
        None,
        True,
        -1,
        0,
        1e308,
        10**40,
        "",
        "i1",
        "\ud800",
        "x" * 5000,
        [],
        {},
        [[]],
        {"a": {}},
        [None],
        "NaN",
    ]
    keys = ["history", "histories", "k", "allowed", "blocked", "times", "at", "unknown", "item", "add", "remove"]
    keys += ["exclude_seen", "id", "features", "min_overlap", "dry_run", "__proto__", "\x00"]
    path = chance.choice(
        ["/recommend", "/similar", "/items", "/swap", "/recommend/", "/%00", "/../etc", "/docs/x"]
    )
    body = {key: chance.choice(odd) for key in chance.sample(keys, chance.randint(0, 5))}
    if chance.random() < 0.4:
        body["history"] = [chance.choice(odd) for _ in range(chance.randint(0, 6))]
    if chance.random() < 0.2:
        body["add"] = [{"id": chance.choice(odd), "features": {"text": chance.choice(odd)}}]
    content = json.dumps(body).encode()
    for _ in range(chance.choice([0, 0, 1, 5])):  # some bytes of it changed
        place = chance.randrange(len(content))
        content = content[:place] + bytes([chance.randrange(256)]) + content[place + chance.randint(0, 3) :]
    kind = chance.choice(
        ["application/json"] * 6 + ["text/plain", "application/x-www-form-urlencoded", "", "a/b;q"]
    )
    headers = {"Content-Type": kind, **(BEARER if chance.random() < 0.7 else {})}
    method = chance.choice(["POST"] * 8 + ["GET", "PUT", "DELETE", "OPTIONS"])
    return method, path, {"content": content, "headers": headers}


def test_malformed_requests_break_nothing(app):
    answers = ask(app, *[malformed(seed) for seed in range(200)], ("GET", "/health", {}))
    assert {answer.status_code for answer in answers} <= {200, 400, 401, 404, 405, 409, 413, 422}
    refused = [answer for answer in answers if answer.status_code >= 400]
    assert len(refused) > 120
    assert all(answer.json()["errors"] for answer in refused)
    assert answers[-1].status_code == 200
