"""What Prometheus is told. Each app has its own registry, so that two of them in one process do not mix."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "mezzotint"
STREAM_ROUTES = frozenset({"/events", "/api/events"})
STATUSES = ("queued", "running")


class Metrics:
    """Count requests as they pass; `render` adds what the queue and the engine say at the moment of asking."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._current = _Current()
        self._registry.register(self._current)
        self.requests = Counter(
            f"{PREFIX}_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            f"{PREFIX}_http_request_seconds", "Time to answer, streams left out.", ("route",), registry=self._registry
        )

    def render(self, *, queue: dict[str, int], engine: dict[str, Any], leases_lost: int, streams: int) -> bytes:
        """Return everything in Prometheus' text format."""
        self._current.families = [
            *_queue_families(queue),
            *_engine_families(engine),
            _counter("leases_lost", "Jobs that another process took over while they were worked on.", leases_lost),
            _gauge("event_streams", "Event streams that are open.", streams),
        ]
        return generate_latest(self._registry)


class _Current:
    """The collector of values that are asked for, not counted."""

    def __init__(self) -> None:
        self.families: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        return self.families


def _queue_families(queue: dict[str, int]) -> list[Metric]:
    depth = GaugeMetricFamily(f"{PREFIX}_queue_depth", "Jobs of all owners, by status.", labels=["status"])
    for status in STATUSES:
        depth.add_metric([status], queue.get(status, 0))
    return [depth]


def _engine_families(engine: dict[str, Any]) -> list[Metric]:
    metrics = engine.get("metrics", {})
    return [
        _gauge("engine_up", "Whether the engine is ready for work.", float(engine.get("state") == "ready")),
        _state("compile", "How far compiling networks is.", engine.get("compile", {}).get("state", "off")),
        _gauge("unet_rows_per_call", "Rows that shared a U-Net call, on average.", metrics.get("rows_per_call", 0)),
        _counter("unet_rows", "Rows sent through the U-Net.", metrics.get("rows_total", 0)),
        _counter(
            "unet_padding_rows", "Rows asked besides, as equal bits or libraries need.", metrics.get("padding_total", 0)
        ),
        _counter("unet_calls", "U-Net calls.", metrics.get("calls_total", 0)),
        _counter("unet_compiled_calls", "U-Net calls that compiled code answered.", metrics.get("compiled_total", 0)),
        *_histogram("unet_call_seconds", "Time of a U-Net call with what belongs to it.", metrics, "call_seconds"),
        *_histogram(
            "wait_seconds", "Time from a job's arrival at the engine to its first step.", metrics, "wait_seconds"
        ),
        _counter("step_seconds", "Time spent in denoising steps.", metrics.get("step_seconds_total", 0)),
        _counter("steps", "Denoising steps.", metrics.get("steps_total", 0)),
    ]


def _histogram(name: str, text: str, metrics: dict[str, Any], key: str) -> list[Metric]:
    """The engine's histogram under `key`, if it tells one."""
    found = metrics.get(key)
    if not found:
        return []
    edges = [*map(str, metrics["edges"]), "+Inf"]
    buckets = list(zip(edges, itertools.accumulate(found["counts"]), strict=True))
    return [HistogramMetricFamily(f"{PREFIX}_{name}", text, buckets=buckets, sum_value=found["total"])]


def _state(name: str, text: str, state: str) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=["state"])
    family.add_metric([state], 1.0)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=float(value or 0))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=float(value or 0))


class CountRequests:
    """Count each answer under its route's pattern, never under its address, which is without bounds."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(_method(scope), route, str(status)).inc()
            if route not in STREAM_ROUTES:
                self._metrics.seconds.labels(route).observe(time.perf_counter() - began)


def _method(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"
