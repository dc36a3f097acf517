"""Which network addresses are everyone's, and which only this machine's or its neighbours'."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open Internet; what is no address is not.

    An IPv6 address that carries an IPv4 one leads where that leads; see `leads_to`.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(map(_is_public, leads_to(parsed)))


def leads_to(address: Address) -> Sequence[Address]:
    """The addresses that a packet to this one may reach: the IPv4 ones that it carries, else itself.

    Carried are they by mapped addresses (RFC 4291), 6to4 (RFC 3056), Teredo (RFC 4380: its server's too) and
    NAT64 (RFC 6052; in the prefix for local use, RFC 8215, at each place where a network may have put them).
    A compatible one (`::a.b.c.d`, long given up) may lead to what it carries or to itself.
    """
    if isinstance(address, IPv4Address):
        return [address]
    if carried := address.ipv4_mapped or address.sixtofour:
        return [carried]
    if address.teredo:
        return address.teredo
    if address in _NAT64:
        return [_low(address)]
    if address in _LOCAL_NAT64:
        return [_embedded(address, length) for length in (48, 56, 64)] + [_low(address)]
    if address in _COMPATIBLE and not (address.is_unspecified or address.is_loopback):
        return [_low(address), address]
    return [address]


def _is_public(address: Address) -> bool:
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or getattr(address, "is_site_local", False)
    )


def _low(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)


def _embedded(address: IPv6Address, length: int) -> IPv4Address:
    """The IPv4 address after a NAT64 prefix of so many bits; bits 64 to 71 are none of it (RFC 6052, 2.2)."""
    packed = address.packed
    return IPv4Address((packed[length // 8 : 8] + packed[9:])[:4])
