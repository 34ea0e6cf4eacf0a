"""Prometheus metrics, under the names all services share."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from psycopg_pool import AsyncConnectionPool
from vital_ops_kernel.metrics import load_metrics

from ai_engine.config import Config

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class Metrics:
    def __init__(self, config: Config, pool: AsyncConnectionPool) -> None:
        disable_created_metrics()
        self._service = config.service
        self._pool = pool
        self._pool_max = config.database_pool_max
        self._registry = CollectorRegistry()
        self._known = load_metrics()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self.requests = self._metric("http_requests_total")
        self.durations = self._metric("http_request_duration_seconds")
        self.in_flight = self._metric("http_requests_in_flight").labels(config.service)
        self._connections = self._metric("db_pool_connections")
        self._waiting = self._metric("db_pool_waiting")
        self._metric("db_pool_max_connections").labels(config.service).set(self._pool_max)
        self._metric("service_info").labels(config.service, config.version, config.environment).set(1)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self.requests.labels(self._service, method, route, str(status)).inc()
        self.durations.labels(self._service, method, route).observe(seconds)

    def render(self) -> bytes:
        pool = self._pool.get_stats()
        idle = pool.get("pool_available", 0)
        self._connections.labels(self._service, "idle").set(idle)
        self._connections.labels(self._service, "used").set(max(0, pool.get("pool_size", 0) - idle))
        self._waiting.labels(self._service).set(pool.get("requests_waiting", 0))
        return generate_latest(self._registry)

    def _metric(self, name: str):
        metric = self._known[name]
        more = {"buckets": metric.buckets} if metric.buckets else {}
        return _KINDS[metric.type](name, metric.help, metric.labels, registry=self._registry, **more)
