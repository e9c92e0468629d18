"""What ``GET /metrics`` tells Prometheus."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from missrec_pl.serving.http.limits import App, Message, Receive, Scope, Send
from missrec_pl.serving.recommender import ServedRecommender

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class ServerMetrics:
    """Counters of one server, in a registry of its own.

    Args:
        paths: the paths that are counted by name.
    """

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths = paths
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "missrec_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "missrec_request_seconds", "Seconds of a request.", ["path"], buckets=_BUCKETS, registry=registry
        )
        self.histories = Counter("missrec_histories", "Histories that were ranked for.", registry=registry)
        self.unknown = Counter("missrec_unknown_items", "Ids in histories that were skipped.", registry=registry)
        self.swaps = Counter("missrec_swaps", "Bundles taken into use since the start.", registry=registry)
        self.items = Gauge("missrec_items", "Items that may be recommended.", registry=registry)
        self.bundle = Gauge(
            "missrec_bundle_info", "The bundle in use.", ["fingerprint", "network"], registry=registry
        )

    def text(self, served: ServedRecommender) -> bytes:
        """All of them, in Prometheus' text format."""
        self.items.set(served.num_items)
        self.bundle.clear()
        self.bundle.labels(served.about.fingerprint, str(served.about.network["name"])).set(1)
        return bytes(generate_latest(self._registry))

    def measured(self, app: App) -> App:
        """The same application, counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            start, status = time.perf_counter(), 0

            async def noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = int(message["status"])
                await send(message)

            path = scope["path"] if scope["path"] in self._paths else "other"
            try:
                await app(scope, receive, noted)
            finally:
                self.requests.labels(path, str(status or 499)).inc()  # 499: the client left
                self.seconds.labels(path).observe(time.perf_counter() - start)

        return counted
