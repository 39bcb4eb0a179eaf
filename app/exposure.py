"""Whether other machines could reach the server, known before anything heavy is imported."""

from __future__ import annotations

import ipaddress

from app.settings import Settings


class UnsafeBind(Exception):  # noqa: N818, what the settings are
    """The settings would open the server to other machines although nobody said that this is meant."""


def require_safe_bind(settings: Settings) -> None:
    """Raise `UnsafeBind`, with a message for the terminal, if others could reach us and `public` is not set."""
    if settings.public or is_loopback(settings.host):
        return
    raise UnsafeBind(
        f"--host {settings.host} would let other machines use this server, and its pages have no accounts. "
        "Add --public if that is what you want (programs then need an API key: python3 -m app keys), "
        "or use --host 127.0.0.1."
    )


def is_loopback(host: str) -> bool:
    """Tell whether `host` can only be reached from this machine."""
    address = ip_address_of(host)
    return address.is_loopback if address else host.lower() == "localhost"


def ip_address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that `host` is, None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
