"""What hosts see: the tools, prompts and resources of all servers under names of one endpoint.

Pure. The one rule: a shown name is looked up, never taken apart, so a server or tool may be called anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mcp.shared.inbound import X_MCP_HEADER_KEY
from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

SEPARATOR = "__"
LONGEST_NAME = 64
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")

Definition = dict[str, Any]
"""A tool, prompt, resource or template as on the wire."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What one server offers, as it listed it."""

    server: str
    prefix: str
    tools: tuple[Definition, ...] = ()
    prompts: tuple[Definition, ...] = ()
    resources: tuple[Definition, ...] = ()
    templates: tuple[Definition, ...] = ()
    instructions: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whose a shown name is, and what its owner calls it."""

    server: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All listings under shown names, in the config's order."""

    tools: Mapping[str, Definition] = field(default_factory=dict)
    prompts: Mapping[str, Definition] = field(default_factory=dict)
    resources: Mapping[str, Definition] = field(default_factory=dict)
    templates: Mapping[str, Definition] = field(default_factory=dict)
    tool_targets: Mapping[str, Target] = field(default_factory=dict)
    prompt_targets: Mapping[str, Target] = field(default_factory=dict)
    resource_owners: Mapping[str, str] = field(default_factory=dict)
    template_owners: Mapping[str, str] = field(default_factory=dict)
    _with_headers: dict[str, bool] = field(default_factory=dict, init=False, compare=False, repr=False)

    def header_schema(self, name: str) -> Mapping[str, Any] | None:
        """A tool's input schema where an argument of it goes into a header too (Mcp-Param-*); else None.

        It is looked through once, as each call asks.
        """
        schema = self.tools[name]["inputSchema"] if name in self.tools else None
        if schema is not None and name not in self._with_headers:
            self._with_headers[name] = X_MCP_HEADER_KEY in json.dumps(schema)
        return schema if self._with_headers.get(name) else None

    def owner_of(self, uri: str) -> str | None:
        """The server that lists this resource, or a template that it fits."""
        if owner := self.resource_owners.get(uri):
            return owner
        owners = self.template_owners.items()
        return next((owner for template, owner in owners if _matches(template, uri)), None)


Aliases = Mapping[str, str]
"""A tool's own name -> the name it is shown under."""


def compose(
    listings: Iterable[Listing], reserved: Collection[str] = (), aliases: Mapping[str, Aliases] | None = None
) -> Catalogue:
    """One catalogue of several listings.

    Tools and prompts are renamed `prefix__name`; where two would be shown alike, the later keeps a hash, and
    so does a tool of a `reserved` name. A tool with an alias is shown under that, unless another is called so
    without one: nobody's alias takes the name of another server's tool, whichever comes first. URIs are not
    rewritten (links inside results would break): of two equal ones the earlier server's is shown.
    """
    listings, aliases = list(listings), aliases or {}
    called_so = {
        shown_name(listing.prefix, str(tool["name"]))
        for listing in listings
        for tool in listing.tools
        if str(tool["name"]) not in aliases.get(listing.server, {})
    }
    tools: dict[str, Definition] = {}
    prompts: dict[str, Definition] = {}
    resources: dict[str, Definition] = {}
    templates: dict[str, Definition] = {}
    tool_targets: dict[str, Target] = {}
    prompt_targets: dict[str, Target] = {}
    resource_owners: dict[str, str] = {}
    template_owners: dict[str, str] = {}
    for listing in listings:
        chosen = aliases.get(listing.server, {})
        _name_all(listing, listing.tools, tools, tool_targets, reserved, chosen, called_so)
        _name_all(listing, listing.prompts, prompts, prompt_targets)
        _own_all(listing, "uri", listing.resources, resources, resource_owners)
        _own_all(listing, "uriTemplate", listing.templates, templates, template_owners)
    return Catalogue(
        tools=tools,
        prompts=prompts,
        resources=resources,
        templates=templates,
        tool_targets=tool_targets,
        prompt_targets=prompt_targets,
        resource_owners=resource_owners,
        template_owners=template_owners,
    )


Shown = dict[str, dict[str, list[Definition]]]
"""Kind ("tools", "prompts", "resources") -> server -> its definitions."""


def shown_by_server(catalogue: Catalogue) -> Shown:
    """What is shown, sorted by kind and owner: for `changes`."""
    shown: Shown = {"tools": {}, "prompts": {}, "resources": {}}
    for name, definition in catalogue.tools.items():
        shown["tools"].setdefault(catalogue.tool_targets[name].server, []).append(definition)
    for name, definition in catalogue.prompts.items():
        shown["prompts"].setdefault(catalogue.prompt_targets[name].server, []).append(definition)
    for uri, definition in catalogue.resources.items():
        shown["resources"].setdefault(catalogue.resource_owners[uri], []).append(definition)
    for template, definition in catalogue.templates.items():
        shown["resources"].setdefault(catalogue.template_owners[template], []).append(definition)
    return shown


def changes(before: Shown, after: Shown) -> dict[str, set[str]]:
    """The kinds of which something is shown otherwise, each with the servers whose it is."""
    found = {
        kind: {server for server in before[kind] | after[kind] if _differ(before[kind], after[kind], server)}
        for kind in after
    }
    return {kind: servers for kind, servers in found.items() if servers}


def _matches(template: str, uri: str) -> bool:
    try:
        return UriTemplate.parse(template).match(uri) is not None
    except (InvalidUriTemplate, ValueError):
        return False


def _differ(before: Mapping[str, Any], after: Mapping[str, Any], server: str) -> bool:
    return bool(before.get(server) != after.get(server))


def shown_name(prefix: str, name: str) -> str:
    """`prefix__name` in at most 64 characters of `[A-Za-z0-9_-]`; what is cut or changed gets a hash.

    Model APIs take no more than 64, and one longer name breaks a whole session of some hosts.
    """
    full = f"{prefix}{SEPARATOR}{name}" if prefix else name
    plain = _NOT_IN_NAMES.sub("_", full)
    if plain == full and len(full) <= LONGEST_NAME:
        return full
    return _with_hash(plain, full)


def _with_hash(shown: str, whole: str) -> str:
    mark = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{shown[: LONGEST_NAME - len(mark) - 1]}_{mark}"


def _name_all(
    listing: Listing,
    definitions: Iterable[Definition],
    shown: dict[str, Definition],
    targets: dict[str, Target],
    reserved: Collection[str] = (),
    aliases: Aliases = MappingProxyType({}),
    called_so: Collection[str] = (),
) -> None:
    for definition in definitions:
        original = str(definition["name"])
        alias = aliases.get(original)
        name, mark = alias or shown_name(listing.prefix, original), f"{listing.server}\0{original}"
        while name in shown or name in reserved or (alias == name and name in called_so):
            name, mark = _with_hash(name, mark), f"{mark}\0"
        shown[name] = {**definition, "name": name}
        targets[name] = Target(server=listing.server, name=original)


def _own_all(
    listing: Listing,
    key: str,
    definitions: Iterable[Definition],
    shown: dict[str, Definition],
    owners: dict[str, str],
) -> None:
    for definition in definitions:
        uri = str(definition[key])
        if uri not in shown:
            shown[uri] = definition
            owners[uri] = listing.server
