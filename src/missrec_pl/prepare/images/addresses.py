"""Which network addresses a download may connect to: public ones, unless the user allows all."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# What `is_global` leaves open in some versions of Python, and Azure's metadata server, whose address is public.
_CLOSED_4 = tuple(
    map(IPv4Network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "198.18.0.0/15"))
)
_CLOSED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))


class RefusedAddressError(Exception):
    """A host leads to an address that is not public; the message names both and the flag that allows it."""


def is_public(address: str) -> bool:
    """Whether an IPv4 or IPv6 address belongs to the public internet.

    Private, loopback, link-local, metadata, shared (100.64/10), multicast, unspecified, documentation and reserved
    networks do not. An IPv6 address that carries an IPv4 one (mapped, 6to4, NAT64) is judged by that.
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is None and parsed in _NAT64:
            inner = IPv4Address(int(parsed) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        closed = parsed not in _GLOBAL_UNICAST or any(parsed in network for network in _CLOSED_6)
    else:
        closed = any(parsed in network for network in _CLOSED_4)
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved and not closed


def resolved(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The numeric addresses of a host, of which every one has been checked; connect to these and not to the name.

    Asking the name server again could give another answer (DNS rebinding). Decimal, octal and hexadecimal hosts
    (``2130706433``, ``0x7f.1``) are numbers to the resolver, so they are checked as the addresses that they mean.

    Raises:
        OSError: The name has no address.
        RefusedAddressError: One of the addresses is not public, and ``allow_private`` is off.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (UnicodeError, ValueError) as error:
        raise socket.gaierror(socket.EAI_NONAME, f"no host name: {error}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    closed = [] if allow_private else [address for address in addresses if not is_public(address)]
    if closed:
        raise RefusedAddressError(f"{host} is at {closed[0]}, which is not public; allow it with --allow-private")
    return addresses
