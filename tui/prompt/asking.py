"""A question and what has to come before its answer; blocks, and is called from a worker thread."""

from typing import Any, Final

from yofo_mlx.prompting.client import OnNote
from yofo_mlx.prompting.held import Held, Model, Offer, Result

MAX_TOKENS: Final = 256
STAGES: Final = {
    "load": "loading the model",
    "prefill": "reading demonstrations",
    "generate": "answering",
}


def ask(held: Held, model: Model, offer: Offer, query: str, hear: OnNote) -> Result:
    """Return the answer; what is read by then, stages and warnings are heard on the way."""

    def note(method: str, params: dict[str, Any]) -> None:
        if method == "calling":
            hear("stage", {"words": STAGES[params["method"]]})
        else:
            hear("warning" if method == "ended" else method, params)

    loaded = held.load(model, note) or {}
    for words in loaded.get("notes", ()):
        hear("warning", {"words": words})
    held.read(offer, note)
    hear("read", held.facts)
    return held.call("generate", {"input": query, "max_tokens": MAX_TOKENS}, note)
