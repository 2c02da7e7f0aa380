"""What goes wrong between here and the hub, in words: what it is, and what to do."""

import errno
import json
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from yofo_mlx.errors import DataError, RecipeError, YofoError
from yofo_mlx.system.files import FULL
from yofo_mlx.system.quantities import duration
from yofo_mlx.system.text import reason, shorten

E = TypeVar("E")
Told = tuple[str, str]  # what it is, what to do


@dataclass(frozen=True)
class Repo:
    """A repository of the hub, at a revision."""

    kind: Literal["model", "dataset"]
    id: str
    revision: str | None = None
    is_written: bool = False  # uploaded to, not read from

    def __str__(self) -> str:
        return f"{'model ' if self.kind == 'model' else ''}{shorten(self.id, 200)}"

    @property
    def page(self) -> str:
        """Where a person looks at it."""
        return f"{_endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"


def http() -> Any:
    """Return the HTTP library of the hub's client, whichever that is."""
    from huggingface_hub import errors

    return sys.modules[errors.HfHubHTTPError.__bases__[0].__module__.partition(".")[0]]


def check_environment() -> None:
    """Refuse the variables that the hub's client would end with a traceback at."""
    for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        value = os.environ.get(name, "")
        if value and not (value.isdecimal() and int(value)):
            wrong = f"{name} is {shorten(value, 40)!r}, which is no number of seconds"
            raise RecipeError(wrong, f"set it to a whole number, or: unset {name}")


def explain(error: Exception, repo: Repo) -> YofoError | None:
    """Return an error of the hub's client in words, None where it is no such thing."""
    cause = _cause(error)
    usage = RecipeError if repo.kind == "model" else DataError
    if told := _refusal(cause, repo):
        what, hint = told
        return usage(f"{repo}: {what}", hint)
    away = YofoError if repo.kind == "model" else DataError
    if told := _disk(cause):
        what, hint = told
        return away(f"{repo}: cannot be downloaded, {what}", hint)
    if is_out_of_reach(error) or isinstance(cause, ValueError):
        missing = "" if repo.is_written else "not on this machine, and "
        return away(f"{repo}: {missing}{reason_of(cause)}", what_to_do(cause))
    return None


def is_out_of_reach(error: BaseException | None) -> bool:
    """Tell whether the hub's client failed for want of a hub, not because of what was asked."""
    from huggingface_hub import errors

    refused = errors.RepositoryNotFoundError | errors.RevisionNotFoundError
    if error is None or isinstance(error, refused | errors.RemoteEntryNotFoundError):
        return False
    page = json.JSONDecodeError  # a network's login page answers in the hub's place
    away = http().HTTPError | OSError | page | errors.CachedRepoTreeNotFoundError
    return isinstance(error, away)


def is_passing(error: Exception) -> bool:
    """Tell whether the same request may well succeed in a moment."""
    if (status := _status(error)) is not None:
        return status in (408, 429) or status >= 500
    return isinstance(error, http().TransportError) and not isinstance(error, http().ProxyError)


def wait_asked_for(error: Exception) -> float | None:
    """Return for how many seconds the hub asks to wait, None where it does not say."""
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = getattr(getattr(error, "response", None), "headers", {})
    after = headers.get("retry-after", "")
    if after.strip().isdigit():
        return float(after)
    info = parse_ratelimit_headers(headers)
    return float(info.reset_in_seconds) if info and not info.remaining else None


def reason_of(error: Exception) -> str:
    """Return why the hub gave nothing, as the end of a sentence."""
    status = _status(error)
    if status == 429:
        return "the hub has had too many requests from here (HTTP 429)"
    if status is not None and status >= 500:
        return f"the hub has a fault of its own (HTTP {status})"
    if status is not None:
        return f"the hub refuses the request (HTTP {status}{_message(error)})"
    return _of_connection(error) or f"the hub cannot be reached ({reason(error)})"


def _of_connection(error: Exception) -> str:
    from huggingface_hub import constants, errors

    host = _host(error)
    if isinstance(error, errors.OfflineModeIsEnabled):  # of ours, or the client's
        return f"{_offline()} is set" if constants.HF_HUB_OFFLINE else str(error)
    if isinstance(error, http().ProxyError):
        return f"the proxy refuses to connect to {host} ({reason(error)})"
    if isinstance(error, http().TimeoutException):
        return f"{host} has been silent for {constants.HF_HUB_DOWNLOAD_TIMEOUT:g} s"
    if isinstance(error, http().TooManyRedirects):
        return f"{host} redirects without end"
    if isinstance(error, errors.FileMetadataError | ValueError):
        return f"{host} does not answer as a hub does (a login page of the network?)"
    if found := _under(error, ssl.SSLError):
        return f"no secure connection to {host} ({shorten(found.reason or str(found), 100)})"
    if _under(error, socket.gaierror):
        return f"the name {host} cannot be resolved: no network?"
    if _under(error, ConnectionRefusedError):
        return f"{host} refuses connections"
    if isinstance(error, http().ReadError | http().RemoteProtocolError):
        return f"{host} broke off the connection"
    return ""


def what_to_do(error: Exception) -> str:
    """Return what to do about a hub that gave nothing."""
    from huggingface_hub import constants, errors

    status = _status(error)
    if status == 429:
        wait = wait_asked_for(error)
        when = f"in {duration(wait)}" if wait else "in some minutes"
        more = "" if _has_token(error) else "; more are allowed to who logs in: hf auth login"
        return f"try again {when}{more}"
    if status is not None and status >= 500:
        return "nothing is wrong on this side: try again later"
    if constants.HF_HUB_OFFLINE:
        return f"unset {_offline()} to download it"
    if isinstance(error, http().ProxyError):
        return "check HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT), or ask whoever keeps the proxy"
    if isinstance(error, http().TimeoutException | errors.OfflineModeIsEnabled):
        return "try again; for a slow network set HF_HUB_DOWNLOAD_TIMEOUT=60 (seconds)"
    if _under(error, ssl.SSLError):
        return "behind a proxy that looks into connections, set SSL_CERT_FILE to its certificate"
    if status is not None or isinstance(error, http().TooManyRedirects | ValueError):
        return f"open {_endpoint()} in a browser to see what answers there (HF_ENDPOINT sets it)"
    return f"check the connection to {_endpoint()} (HF_ENDPOINT sets it)"


# ---------------------------------------------------------------------- what was asked for


def _refusal(error: Exception, repo: Repo) -> Told | None:
    """Return what to say if the hub is well and will not give this; else None."""
    from huggingface_hub import errors

    own = _has_token(error)
    if isinstance(error, errors.GatedRepoError):
        who = "with the account of your token (hf auth whoami)" if own else "then: hf auth login"
        return "its terms must be accepted first", f"accept them at {repo.page}, {who}"
    if isinstance(error, errors.DisabledRepoError):
        return "the hub has disabled it", f"see {repo.page}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"no revision {repo.revision!r}", f"correct `revision`: see {repo.page}/tree/main"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return "a file is missing there that should be", f"see {repo.page}/tree/main"
    if isinstance(error, errors.HFValidationError):
        return "this is no id of the hub", "ids have the form owner/name"
    if _status(error) == 401 and own:
        token = "correct or unset HF_TOKEN" if os.environ.get("HF_TOKEN") else "hf auth login"
        return "the hub does not accept your token (HTTP 401)", f"{token}; see hf auth whoami"
    if isinstance(error, errors.RepositoryNotFoundError) or _status(error) in (401, 404):
        login = "see that your token may read it: hf auth whoami" if own else "hf auth login"
        hint = f"no folder of this name is here either; check the spelling; if private: {login}"
        return "not on the hub, or private", hint
    if _status(error) == 403:
        hint = "check the rights of your token (hf auth whoami), or ask whoever keeps the proxy"
        return f"the hub forbids it (HTTP 403{_message(error)})", hint
    return None


def _disk(error: Exception) -> Told | None:
    """Return what to say if a disk of this machine is at fault; else None."""
    from huggingface_hub import constants, errors

    code = getattr(error, "errno", None)
    cache = shorten(str(constants.HF_HUB_CACHE), 200)
    if isinstance(error, errors.CachedRepoTreeNotFoundError):
        hint = "check that it can be written, and that HF_HUB_OFFLINE is not set"
        return f"{cache} holds no list of its files", hint
    if code in FULL:
        return f"the disk of {cache} is full", "make room, or set HF_HOME to a folder elsewhere"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        what = f"{cache} cannot be written ({os.strerror(code)})"
        return what, "check whose it is, or set HF_HOME to a folder of yours"
    return None


# ---------------------------------------------------------------------- reading the errors


def _cause(error: Exception) -> Exception:
    """Return what is behind an error that only says that the cache does not help."""
    from huggingface_hub import errors

    wraps = isinstance(error, errors.LocalEntryNotFoundError)
    return error.__cause__ if wraps and isinstance(error.__cause__, Exception) else error


def _status(error: Exception) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _message(error: Exception) -> str:
    """Return what the server says beside the status, made safe to print."""
    message = getattr(error, "server_message", None)
    return f": {shorten(' '.join(str(message).split()), 200)}" if message else ""


def _has_token(error: Exception) -> bool:
    request = getattr(getattr(error, "response", None), "request", None)
    return "authorization" in getattr(request, "headers", {})


def _host(error: Exception) -> str:
    request = getattr(error, "_request", None)
    return str(request.url.host) if request is not None else _endpoint().partition("://")[2]


def _offline() -> str:
    """Return the variable that forbids to ask the hub."""
    return next(filter(os.environ.get, ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")), "offline mode")


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _under(error: BaseException, kind: type[E]) -> E | None:
    """Return the first error of a kind among those that led to this one."""
    return next((found for found in _chain(error) if isinstance(found, kind)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
