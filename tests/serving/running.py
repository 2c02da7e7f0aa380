"""A server on a random model of bytes, its model in a thread of this process."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from openai import OpenAI

from tests.fakes import ByteTokenizer, random_llama, sliding_gemma
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.recipe.schema import Template
from yofo_mlx.serving.engine import Engine
from yofo_mlx.serving.gate import Gate
from yofo_mlx.serving.models import Pinned, Plain
from yofo_mlx.serving.server import Offered, Server
from yofo_mlx.tasks.task import Example

SHOTS = [Example(f"x{n}", ("red", "blue")[n % 2]) for n in range(6)]
LIMIT = 600  # tokens of the model's context


@dataclass
class Running:
    """A server that runs, and what the session would say."""

    server: Server
    said: dict[tuple[str, int], str]  # by query and most tokens, behind the set

    @property
    def url(self) -> str:
        return self.server.url

    def client(self, **options: Any) -> OpenAI:
        return OpenAI(base_url=self.url, api_key="none", max_retries=0, timeout=60, **options)


def prefix_of(model: Any, shots: list[Example], tokenizer: Any = None) -> Prefix:
    prefix = Prefix(Context(model), tokenizer or ByteTokenizer(), Template(), LIMIT)
    prefix.choose(shots, "")
    prefix.fill()
    return prefix


def models_of(model: Any) -> dict[str, Any]:
    tokenizer = ByteTokenizer()
    pinned = Pinned("run:colours", prefix_of(model, SHOTS), tokenizer, lambda: None)
    return {
        "run:colours": pinned,
        "run": Plain("run", prefix_of(model, []), tokenizer, lambda: None),
    }


@contextmanager
def running(
    queries: list[tuple[str, int]],
    *,
    gate: Gate | None = None,
    most_waiting: int = 64,
    at_once: int = 16,
    slides: bool = False,
) -> Iterator[Running]:
    """Run a server; `queries` are answered by a session first."""
    ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
    engine = Engine(at_once=at_once, most_waiting=most_waiting)

    def work() -> None:
        model = sliding_gemma() if slides else random_llama()
        prefix = prefix_of(model, SHOTS)
        said = {}
        for query, most in queries:
            question = prefix.question(query)
            answer = generate(prefix.context, prefix.segmenter, question, max_tokens=most)
            said[query, most] = answer.text
        offered = Offered(models_of(model), most_tokens=100)
        where = Gate(is_loopback=True) if gate is None else gate
        server = Server("127.0.0.1", 0, engine=engine, gate=where)
        server.offered = offered
        ready.put(Running(server, said))
        engine.run()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    found = ready.get(timeout=600)
    threading.Thread(target=found.server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        engine.give_up()
        thread.join(30)
        found.server.shutdown()
        found.server.server_close()
