"""What a client gets in place of an answer: a status and an error in OpenAI's form."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from yofo_mlx.errors import FitError, YofoError

TOO_LONG = "context_length_exceeded"


class Refusal(Exception):
    """A request that is not answered."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """Return what is sent."""
        told = {"message": self.message, "param": self.param, "code": self.code}
        return {"error": told | {"type": _kind(self.status)}}


def bad(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """Return the refusal of a request that is wrong in itself."""
    return Refusal(HTTPStatus.BAD_REQUEST, message, param=param, code=code)


def busy(message: str) -> Refusal:
    """Return the refusal of a request that may be sent again in a second."""
    status = HTTPStatus.TOO_MANY_REQUESTS
    return Refusal(status, message, code="rate_limit_exceeded", headers={"Retry-After": "1"})


def closing() -> Refusal:
    """Return the refusal of whoever comes when the server ends."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the server is shutting down", code="closing")


def no_room(message: str) -> Refusal:
    """Return the refusal of what this machine's memory could not hold."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, message, code="out_of_memory")


def refusal_of(error: Exception) -> Refusal | None:
    """Return what a client is told of an error, None where it is a defect."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, FitError):
        return bad(error.message, "messages", TOO_LONG)
    return bad(error.message) if isinstance(error, YofoError) else None


def defect() -> Refusal:
    """Return what a client is told of a defect, whose traceback is the server's own business."""
    message = "the server failed; its standard error has the traceback"
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message)


def _kind(status: HTTPStatus) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "authentication_error"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
