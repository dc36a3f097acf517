"""Whose a shown name is: the catalogue as one front's hosts see it, and the server behind each name in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from mcp.server.context import ServerRequestContext

from pygent_registry.catalogue import Catalogue, Definition, Target
from pygent_registry.era import is_modern
from pygent_registry.link import Link
from pygent_registry.policies import caller_of, principal_in
from pygent_registry.registry import Registry
from pygent_registry.roles import Role, Views, role_of
from pygent_shared.errors import UnknownName

Context = ServerRequestContext[Any, Any]


class Owners:
    """Finds owners in a registry's catalogue.

    Args:
        only: the one server that is shown, its names without a prefix; None for all.
    """

    def __init__(self, registry: Registry, only: str | None) -> None:
        self._registry = registry
        self._only = only
        self._views = Views()

    def role(self, context: Context) -> Role | None:
        """What this caller is bound to; None where it may do everything."""
        return role_of(principal_in(context), self._registry.config.roles)

    def catalogue(self, context: Context) -> Catalogue:
        """What this caller sees, as it is now."""
        modern = is_modern(context.protocol_version)
        whole = self._registry.catalogue(modern=modern, only=self._only)
        return self._views.of(whole, self.role(context), modern=modern)

    async def settled(self, context: Context) -> Catalogue:
        """What this host sees, once the servers are up or remembered or have had their time."""
        await self._registry.settled()
        return self.catalogue(context)

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """For the SDK's check of Mcp-Param-* headers, which exist in the 2026 era only."""
        return self._registry.catalogue(modern=True, only=self._only).header_schema(name)

    async def link(self, context: Context, server: str) -> Link:
        """The link to a server for this host's era.

        Raises:
            ServerUnavailable: it is down.
        """
        return await self._registry.link(server, modern=is_modern(context.protocol_version))

    async def tool(self, context: Context, name: str) -> tuple[Target, Definition]:
        """Whose tool it is, and its definition as shown.

        Raises:
            UnknownName, NotApproved: there is none of that name, or it is withheld.
            ServerUnavailable: its server is down.
        """
        catalogue = await self._with(context, "tool", name)
        return catalogue.tool_targets[name], catalogue.tools[name]

    async def prompt(self, context: Context, name: str) -> Target:
        """Whose prompt it is. Raises as `tool` does."""
        return (await self._with(context, "prompt", name)).prompt_targets[name]

    async def resource(self, context: Context, uri: str) -> Target:
        """The server whose resource a URI is, by what is listed or else by the links this caller was given.

        Raises:
            UnknownName, NotApproved: there is none, or it is withheld.
        """
        if owner := (await self.settled(context)).owner_of(uri):
            return Target(server=owner, name=uri)
        given = self._registry.links.find(caller_of(context), uri)
        if given is not None and self._only in (None, given.server):
            return given
        # What is remembered of a server may lack what it has by now.
        await self._registry.settled(recalled=False)
        catalogue = self.catalogue(context)
        if owner := catalogue.owner_of(uri):
            return Target(server=owner, name=uri)
        if self.role(context) is None:
            self._registry.refuse_withheld("resource", uri)
        raise UnknownName("resource", uri, catalogue.resource_owners)

    async def template(self, context: Context, template: str) -> str:
        """The server whose resource template it is.

        Raises:
            UnknownName: there is none.
        """
        owners = (await self.settled(context)).template_owners
        if template not in owners:
            raise UnknownName("resource template", template, owners)
        return owners[template]

    async def _with(self, context: Context, kind: Literal["tool", "prompt"], name: str) -> Catalogue:
        """A catalogue that has the name; one that is not there may be of a server that is still coming up."""
        catalogue = self.catalogue(context)
        if name in _targets(catalogue, kind):
            return catalogue
        catalogue = await self.settled(context)
        if name not in _targets(catalogue, kind) and (server := self._down(context, name)):
            await self.link(context, server)  # waits for it, or raises what is wrong with it
            catalogue = self.catalogue(context)
        if name not in _targets(catalogue, kind):
            if self._only and self._only not in self._registry.downstreams:
                raise UnknownName("server", self._only, ())
            if self.role(context) is None:
                self._registry.refuse_withheld(kind, name, only=self._only)
            raise UnknownName(kind, name, _targets(catalogue, kind), "List what there is: pygent list")
        return catalogue

    def _down(self, context: Context, name: str) -> str | None:
        """The server that is not up, whose name it may be, and that this caller may know of."""
        role = self.role(context)
        for server, item in self._registry.downstreams.items():
            if (self._only or server) != server or not (role is None or role.sees(server)):
                continue
            if not item.primary.is_up and (self._only or item.entry.may_own(name)):
                return server
        return None


def _targets(catalogue: Catalogue, kind: Literal["tool", "prompt"]) -> Mapping[str, Target]:
    return catalogue.tool_targets if kind == "tool" else catalogue.prompt_targets
