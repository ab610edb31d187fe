"""Where the service may connect to when a user names the address."""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
_TRANSLATED = [ipaddress.ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")]
"""IPv6 addresses that stand for IPv4 ones, and could stand for private ones."""


class Refused(ValueError):
    """The address is not one that may be called."""


@dataclass(frozen=True)
class Target:
    """One address to connect to; a name is not asked again, so its answer cannot change."""

    scheme: str
    host: str
    ip: str
    port: int
    path: str


def parsed(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path with query; `Refused` unless it is a plain HTTP address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused("only http:// and https:// addresses can be called")
    if parts.username or parts.password:
        raise Refused("leave user and password out of the address")
    path = parts.path or "/"
    found = port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, parts.hostname, found, f"{path}?{parts.query}" if parts.query else path


def resolve(url: str, *, private: bool) -> Target:
    """Look the host up, once. Raises `Refused` if any of its addresses is not public.

    `private` allows those of this machine and its network. Raises `OSError` if there is none.
    """
    scheme, host, port, path = parsed(url)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ips = list(dict.fromkeys(str(answer[4][0]) for answer in found))
    for ip in ips:
        if not private and not public(ipaddress.ip_address(ip.partition("%")[0])):
            raise Refused(
                f"{host} is {ip}, which is not a public address; FOGLAB_WEBHOOK_PRIVATE allows it"
            )
    return Target(scheme, host, ips[0], port, path)


def public(ip: Ip) -> bool:
    """Whether an address is one of the internet at large."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return public(ip.ipv4_mapped)
        if any(ip in network for network in _TRANSLATED):
            return False
    return ip.is_global and not ip.is_multicast
