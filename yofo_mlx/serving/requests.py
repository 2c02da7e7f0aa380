"""The bodies of requests, declared once and checked before anything waits for the model.

What OpenAI's clients send along and what changes no answer is ignored; what would change one and is
not done here is refused, and so is what nobody knows.
"""

import json
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yofo_mlx.serving.refusals import bad
from yofo_mlx.system.text import shorten

MAX_TOKENS = 256  # of an answer, where a request says nothing
MOST_TEXTS = 256  # of one request to classify

_HARMLESS = frozenset(
    "user metadata store service_tier parallel_tool_calls prompt_cache_key prompt_cache_retention"
    " safety_identifier tool_choice".split()
)


class _Body(BaseModel):
    """Base of all bodies; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StreamOptions(_Body):
    """What a stream tells beside the text."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class Generation(_Body):
    """What chat completions and completions share."""

    model: str = ""
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: Literal[1] = 1
    presence_penalty: Literal[0] = 0
    frequency_penalty: Literal[0] = 0
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] = {}

    @property
    def stops(self) -> list[str]:
        """Texts at whose beginning an answer ends."""
        return [text for text in ([self.stop] if isinstance(self.stop, str) else self.stop) if text]

    @property
    def most_tokens(self) -> int | None:
        """Most tokens of an answer, None where the request says nothing."""
        return self.max_tokens

    @property
    def alternatives(self) -> int | None:
        """How many alternatives to each token are told; None: no log-probability at all."""
        raise NotImplementedError


class TextPart(_Body):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class Message(_Body):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None
    refusal: None = None

    @property
    def text(self) -> str:
        """Return what it says."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ResponseFormat(_Body):
    """The form of an answer: none but text is known."""

    type: Literal["text"] = "text"


class ChatRequest(Generation):
    """A body of /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(gt=0)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    tools: Annotated[list[Any], Field(max_length=0)] = []
    response_format: ResponseFormat = ResponseFormat()
    modalities: list[Literal["text"]] = ["text"]

    @property
    def most_tokens(self) -> int | None:
        """Most tokens of an answer, None where the request says nothing."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def alternatives(self) -> int | None:
        """How many alternatives to each token are told; None: no log-probability at all."""
        return self.top_logprobs if self.logprobs else None


class CompletionRequest(Generation):
    """A body of /v1/completions."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: Literal[1] = 1
    echo: Literal[False] = False
    suffix: Literal[""] = ""

    @property
    def text(self) -> str:
        """Return what is to go on."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]

    @property
    def alternatives(self) -> int | None:
        """How many alternatives to each token are told; None: no log-probability at all."""
        return self.logprobs


class ClassifyRequest(_Body):
    """A body of /v1/classify."""

    model: str = ""
    input: str | Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)]
    labels: Annotated[list[str], Field(min_length=2, max_length=1000)] | None = None

    @property
    def texts(self) -> list[str]:
        """Return what is to be labelled."""
        return [self.input] if isinstance(self.input, str) else self.input


B = TypeVar("B", bound=_Body)


def parse(kind: type[B], text: bytes) -> B:
    """Return a body; every mistake is named at once."""
    try:
        content = json.loads(text, parse_constant=_no_number)
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise bad(f"the body is not JSON: {shorten(str(error), 200)}") from None
    if not isinstance(content, dict):
        raise bad("the body is to be a JSON object")
    given = {
        name: value
        for name, value in content.items()
        if value is not None and name not in _HARMLESS
    }
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        found = error.errors()
        mistakes = dict.fromkeys(f"`{_path(detail['loc'])}`: {detail['msg']}" for detail in found)
        raise bad(shorten("; ".join(mistakes), 2000), str(found[0]["loc"][0])) from None


def _path(places: tuple[int | str, ...]) -> str:
    named = [str(place) for place in places]
    kinds = ("str", "list[")  # of which one field may be, which pydantic names as well
    return shorten(".".join(one for one in named if not one.startswith(kinds)), 100)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
