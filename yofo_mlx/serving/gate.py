"""Who may ask: by a key, by the name that the server was called by, by the page that calls it.

Without a key only this machine can, and of its browser no page of others: their own host name may
be made to mean this machine (DNS rebinding), and they may send requests whose answers they cannot
read. So a loopback server answers to loopback names alone, and to pages that are named.
"""

import hmac
import ipaddress
import socket
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

from yofo_mlx.errors import RecipeError
from yofo_mlx.serving.refusals import Refusal
from yofo_mlx.system.text import shorten

SHORTEST_KEY = 16  # characters


@dataclass(frozen=True)
class Gate:
    """What a request has to show."""

    is_loopback: bool
    key: str | None = None
    origins: frozenset[str] = frozenset()

    def check(self, headers: "Message[str, str]") -> None:
        """Refuse a request that may not ask."""
        if self.is_loopback and not _is_local(headers.get("Host", "")):
            wrong = f"the host {shorten(headers.get('Host', ''), 80)!r} is not this server"
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, f"{wrong}: ask it by 127.0.0.1")
        origin = headers.get("Origin")
        if origin is not None and origin not in self.origins:
            wrong = f"pages of {shorten(origin, 80)} may not ask"
            raise Refusal(HTTPStatus.FORBIDDEN, f"{wrong}: `--origin` names those that may")

    def check_key(self, headers: "Message[str, str]") -> None:
        """Refuse a request without the key, in a time that tells nothing of it."""
        if self.key is None:
            return
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(), self.key.encode())
        if scheme.lower() != "bearer" or not is_right:
            raise Refusal(
                HTTPStatus.UNAUTHORIZED,
                "the key is missing or wrong: send `Authorization: Bearer KEY`",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def allowed(self, headers: "Message[str, str]") -> dict[str, str]:
        """Return the headers by which a browser lets a named page read an answer."""
        origin = headers.get("Origin")
        if origin not in self.origins or origin is None:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Vary": "Origin",
        }


def gate_of(host: str, key: str | None, origins: frozenset[str]) -> Gate:
    """Return the gate of a server on a host; refuse to listen to others without a key."""
    is_loopback = all(ipaddress.ip_address(one).is_loopback for one in _addresses(host))
    if key is not None and (len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable()):
        wrong = f"a key has {SHORTEST_KEY} or more characters of ASCII"
        raise RecipeError(wrong, "such as what `openssl rand -hex 24` prints")
    if not is_loopback and key is None:
        raise RecipeError(
            f"on {host} whoever reaches this machine could ask",
            "give a --key as well, or leave --host out: then this machine alone can",
        )
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
            wrong = f"{shorten(origin, 80)!r} is no origin of pages"
            raise RecipeError(wrong, "write it as `http://localhost:3000`, without a path")
    return Gate(is_loopback, key, origins)


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        wrong = f"--host {shorten(host, 80)}: {error}"
        raise RecipeError(wrong, "give an address of this machine, such as 0.0.0.0") from error
    return [str(address[0]).partition("%")[0] for *_, address in found]


def _is_local(host: str) -> bool:
    """Tell whether a Host header names this machine by a name that cannot mean another one."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
