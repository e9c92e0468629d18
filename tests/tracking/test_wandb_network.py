"""The network drops in the middle of a run: nothing waits for it, and the end comes."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from wandb_file import history_of, records_of

from missrec_pl.loggers.facts import Outcome, RunFacts
from missrec_pl.loggers.wandb import WandbLogger

PROJECT = {"id": "p", "name": "shop", "entity": {"id": "e", "name": "team"}}
BUCKET = {"id": "b", "displayName": "d", "config": "{}", "project": PROJECT, "historyLineCount": 0}
ANSWERS = {
    "UpsertBucket": {"upsertBucket": {"bucket": BUCKET, "inserted": True}},
    "Viewer": {"viewer": {"id": "u", "entity": "team", "username": "me", "flags": "{}", "teams": {"edges": []}}},
}


class Handler(BaseHTTPRequestHandler):
    """Answers what a run asks when it starts."""

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = {}
        if self.path.endswith("/graphql"):
            found = re.search(r"(?:query|mutation)\s+(\w+)", json.loads(text)["query"])
            asked = {"data": ANSWERS.get(found[1] if found else "", {})}
        answer = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.mark.slow
def test_a_server_that_goes_away_stops_nothing(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    quick = {"finish_timeout": 5.0, "x_graphql_retry_max": 2, "x_graphql_retry_wait_max_seconds": 2.0}
    one = WandbLogger(save_dir=str(tmp_path), project="shop", settings=quick)
    one.begin(RunFacts("finetune", "a-run", "g", (), None, {"seed": 1}, {}, "val/ndcg@10", tmp_path))
    one.log_metrics({"val/ndcg@10": 0.1}, 1)
    server.shutdown()
    server.server_close()
    start = time.monotonic()
    for step in range(2, 50):
        one.log_metrics({"val/ndcg@10": 0.1}, step)
    assert time.monotonic() - start < 5
    one.finish(Outcome({"test/ndcg@10": 0.2}))
    assert time.monotonic() - start < 120
    assert len(history_of(records_of(tmp_path))) == 49  # wandb sync sends them
