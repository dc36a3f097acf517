"""Roles: which tools, prompts and resources of which servers a caller over HTTP may see and use.

Pure. The one rule: what no role of a caller allows is not there for it, neither in lists nor by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

from pygent_registry.catalogue import Catalogue, Target

if TYPE_CHECKING:
    from pygent_shared.http.identity import Principal

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Role:
    """Server -> what may be used of it, both as patterns: tools and prompts by the server's own names,
    resources and templates by their URIs.
    """

    grants: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def sees(self, server: str) -> bool:
        """Whether anything of the server may be used."""
        return any(patterns and fnmatchcase(server, name) for name, patterns in self.grants)

    def permits(self, server: str, name: str) -> bool:
        """Whether that of the server may be used."""
        return any(
            fnmatchcase(server, of) and any(fnmatchcase(name, pattern) for pattern in patterns)
            for of, patterns in self.grants
        )


def parse(raw: object) -> dict[str, Role]:
    """The `"roles"` of a config file.

    Raises:
        ValueError: they are not as they must be; its text is a clause about them.
    """
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise ValueError('has "roles" that are no object')
    return {name: Role(grants=tuple(_grants(name, servers))) for name, servers in raw.items()}


def _grants(role: str, servers: object) -> list[tuple[str, tuple[str, ...]]]:
    if not isinstance(servers, Mapping):
        raise ValueError(f'has a role "{role}" that is no object of servers')
    for server, patterns in servers.items():
        if not isinstance(patterns, list) or not all(isinstance(item, str) for item in patterns):
            raise ValueError(f'has a role "{role}" whose "{server}" is no list of names')
    return [(server, tuple(patterns)) for server, patterns in servers.items()]


def role_of(principal: Principal | None, roles: Mapping[str, Role]) -> Role | None:
    """All that the principal's roles allow together; None where it is bound to none and may do everything.

    Bound are keys that were made with roles, and, once the config has roles, everyone an issuer vouches for.
    """
    if principal is None or not (principal.limited or (principal.kind == "jwt" and roles)):
        return None
    held = [roles[name] for name in sorted(principal.roles) if name in roles]
    return Role(grants=tuple(dict.fromkeys(grant for role in held for grant in role.grants)))


def permitted(catalogue: Catalogue, role: Role | None) -> Catalogue:
    """What of the catalogue the role allows."""
    if role is None:
        return catalogue

    def owned(owners: Mapping[str, str]) -> dict[str, str]:
        return {uri: server for uri, server in owners.items() if role.permits(server, uri)}

    def named(targets: Mapping[str, Target]) -> dict[str, Target]:
        return {name: of for name, of in targets.items() if role.permits(of.server, of.name)}

    tools, prompts = named(catalogue.tool_targets), named(catalogue.prompt_targets)
    resources, templates = owned(catalogue.resource_owners), owned(catalogue.template_owners)
    return replace(
        catalogue,
        tools=_of(catalogue.tools, tools),
        prompts=_of(catalogue.prompts, prompts),
        resources=_of(catalogue.resources, resources),
        templates=_of(catalogue.templates, templates),
        tool_targets=tools,
        prompt_targets=prompts,
        resource_owners=resources,
        template_owners=templates,
    )


def _of(definitions: Mapping[str, T], kept: Mapping[str, Any]) -> dict[str, T]:
    return {name: definition for name, definition in definitions.items() if name in kept}


class Views:
    """`permitted`, made once for each role, so that what is derived from it can be kept as well. Roles change
    with the config, so only so many are kept.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._made: dict[tuple[bool, Role], tuple[Catalogue, Catalogue]] = {}

    def of(self, catalogue: Catalogue, role: Role | None, *, modern: bool) -> Catalogue:
        """See `permitted`; there is one catalogue at a time for hosts of each era."""
        if role is None:
            return catalogue
        whole, view = self._made.get((modern, role), (None, catalogue))
        if whole is not catalogue:
            if len(self._made) >= self._most:
                self._made.clear()
            view = permitted(catalogue, role)
            self._made[modern, role] = (catalogue, view)
        return view
