"""A registry's part of `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from pygent_registry import usage
from pygent_registry.registry import Registry
from pygent_registry.seen.servers import UP, pids
from pygent_registry.tally import SECONDS, Durations

if TYPE_CHECKING:
    from prometheus_client import Metric


def numbers(registry: Registry) -> Callable[[], Awaitable[Iterable[Metric]]]:
    """What `/metrics` says of a registry."""

    async def gather() -> Iterable[Metric]:
        reported = registry.report()["servers"]
        used = await to_thread.run_sync(usage.of_groups, pids(reported).values())
        return [*_of_calls(registry), *_of_servers(reported, used), *_of_registry(registry)]

    return gather


def _of_calls(registry: Registry) -> Iterable[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    which = ["server", "method", "tool"]
    calls = CounterMetricFamily("pygent_calls", "Requests to servers.", labels=[*which, "outcome"])
    took = HistogramMetricFamily(
        "pygent_call_seconds", "How long requests to servers took, waits included.", labels=which
    )
    for key, series in registry.tally.series.items():
        for outcome, count in series.outcomes.items():
            calls.add_metric([*key, outcome], count)
        took.add_metric(key, _buckets(series.took), series.took.sum)
    refused = CounterMetricFamily(
        "pygent_refused",
        "Requests that a rule, a limit or a server's state refused.",
        labels=["server", "why"],
    )
    waited = HistogramMetricFamily(
        "pygent_queue_wait_seconds", "How long those that had to wait for a turn did.", labels=["server"]
    )
    flying = GaugeMetricFamily("pygent_calls_in_flight", "Requests in hand.", labels=["server"])
    waiting = GaugeMetricFamily("pygent_calls_waiting", "Requests that wait for a turn.", labels=["server"])
    for name, counted in registry.tally.servers.items():
        for why, count in counted.refused.items():
            refused.add_metric([name, why], count)
        if counted.waited.count:
            waited.add_metric([name], _buckets(counted.waited), counted.waited.sum)
        flying.add_metric([name], counted.in_flight)
        waiting.add_metric([name], counted.waiting)
    return calls, took, refused, waited, flying, waiting


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    """Cumulated, as the format wants them."""
    total, found = 0, []
    for bound, count in zip([*map(str, SECONDS), "+Inf"], durations.buckets, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def _of_servers(reported: Mapping[str, Any], used: Mapping[int, usage.Usage]) -> Iterable[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    up = GaugeMetricFamily("pygent_server_up", "Whether a server is up.", labels=["server"])
    state = GaugeMetricFamily("pygent_server_state", "1 for the state it is in.", labels=["server", "state"])
    restarts = CounterMetricFamily("pygent_server_restarts", "Starts after the first.", labels=["server"])
    rss = GaugeMetricFamily("pygent_server_resident_memory_bytes", "Of its processes.", labels=["server"])
    cpu = CounterMetricFamily("pygent_server_cpu_seconds", "Of its processes.", labels=["server"])
    age = GaugeMetricFamily("pygent_server_up_seconds", "Since its process started.", labels=["server"])
    for name, report in reported.items():
        up.add_metric([name], report["state"] in UP)
        state.add_metric([name, report["state"]], 1)
        restarts.add_metric([name], max(report.get("starts", 1) - 1, 0))
        if (found := used.get(report.get("pid", -1))) is not None:
            rss.add_metric([name], found.rss_bytes)
            cpu.add_metric([name], found.cpu_seconds)
            age.add_metric([name], found.seconds_up)
    return up, state, restarts, rss, cpu, age


def _of_registry(registry: Registry) -> Iterable[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    size = GaugeMetricFamily("pygent_catalogue_size", "What hosts are offered.", labels=["kind"])
    catalogue = registry.catalogue(modern=True)
    kinds = {
        "tool": catalogue.tools,
        "prompt": catalogue.prompts,
        "resource": catalogue.resources,
        "template": catalogue.templates,
    }
    for kind, offered in kinds.items():
        size.add_metric([kind], len(offered))
    parked = sum(count() for count in registry.parked)
    asked = "Calls that wait for a host's answer to a question."
    return size, GaugeMetricFamily("pygent_calls_parked", asked, value=parked)
