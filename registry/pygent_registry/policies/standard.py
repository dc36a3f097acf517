"""The policies that are in force: which there are, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygent_registry.entry import Entry
from pygent_registry.era import is_modern
from pygent_registry.policies import Policy, Request
from pygent_registry.policies.ask_first import ask_first
from pygent_registry.policies.audit import audit
from pygent_registry.policies.cache_reads import cache_reads
from pygent_registry.policies.cap_results import cap_results
from pygent_registry.policies.carry_trace import carry_trace
from pygent_registry.policies.hygiene import strip_unseen
from pygent_registry.policies.limit_concurrency import limit_concurrency
from pygent_registry.policies.limit_rate import limit_rate
from pygent_registry.policies.limit_time import limit_time
from pygent_registry.policies.measure import measure
from pygent_registry.policies.name_caller import name_caller
from pygent_registry.policies.own_links import own_links
from pygent_registry.policies.permit import permit
from pygent_registry.policies.redact import redact
from pygent_registry.policies.repeat import repeat_reads
from pygent_shared.errors import UnknownName

if TYPE_CHECKING:
    from pygent_registry.registry import Registry


def standard(registry: Registry) -> list[Policy]:
    """The outermost first. Built once a registry: fronts of the same servers share limits and memories."""
    settings = registry.settings

    def entry_of(server: str) -> Entry:
        if server not in registry.downstreams:  # the config file was edited meanwhile
            raise UnknownName("server", server, registry.downstreams)
        return registry.downstreams[server].entry

    def owner_of(request: Request, uri: str) -> str | None:
        return registry.catalogue(modern=is_modern(request.context.protocol_version)).owner_of(uri)

    return [
        # See everything, also what the others refuse.
        *recording(registry),
        # What the model reads, last of all that was done to it.
        strip_unseen,
        permit(entry_of),
        limit_rate(settings.caller_rate, settings.server_rate),
        # A user who thinks holds no turn at the server, and no clock runs.
        ask_first(entry_of, registry.secrets.redactor, settings.answer_patience),
        # Outside the cache, so that every host gets links of its own.
        own_links(registry.links, owner_of),
        cap_results(entry_of, registry.results, settings.max_result_bytes),
        cache_reads(entry_of),
        # Inside of what keeps results: nothing keeps a secret.
        redact(registry.secrets.redactor),
        limit_concurrency(entry_of, settings.queue_patience, registry.tally),
        limit_time(settings.call_maximum),
        name_caller(entry_of),
        repeat_reads(lambda server: entry_of(server).is_believed),
    ]


def recording(registry: Registry) -> list[Policy]:
    """Those that only look on: they are told also of what is refused because nobody owns it."""
    return [
        # Counts the time that a caller waits, the audit's included.
        measure(registry.tally),
        # Before the audit, which records the trace.
        carry_trace,
        audit(registry.journal, registry.settings.audit, registry.secrets.redactor),
    ]
