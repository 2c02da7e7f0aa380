"""Time a query to `yofo serve` against a session's own time for it, behind the same pinned set.

    python benchmarks/serving.py --model out/smollm2 [--tokens 4000] [--queries 25] [--json]
    python benchmarks/serving.py --model out/smollm2 --clients 50 --requests 1000

The set is drawn words, read once by the session and taken back from the disk by the server. Each
query goes to both in turn, now one first and now the other; `ratio` is that of the medians, the
client's own time included. Where the system tells them, seconds are the CPU's, of the process that
answers and of the one that asks: what else runs there does not count. With --clients: so many at
once, each answer compared with the session's; `requests_per_cpu_s` counts the server's process.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import measurements
from openai import OpenAI

from yofo_mlx.prompting import sets
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.prompting.held import Held, Model, Offer
from yofo_mlx.prompting.lengths import lengths
from yofo_mlx.system import child
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.tasks.task import Example

WORDS = "card bank transfer fee cash top up limit lost stolen exchange rate pending refund".split()
SET = "pinned"
AT_ONCE = 5  # queries that are timed together
Ask = Callable[[str], str]


@dataclass(frozen=True)
class Side:
    """Who is asked, and the process that answers."""

    ask: Ask
    pid: int

    def seconds(self) -> float:
        """Return the CPU seconds that answering and asking have taken, or those of the clock."""
        spent = self.answering_s()
        return time.perf_counter() if spent is None else spent + time.process_time()

    def answering_s(self) -> float | None:
        """Return the CPU seconds that answering has taken, where the system tells them."""
        try:
            numbers = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    def timed(self, queries: list[str]) -> tuple[float, list[str]]:
        """Return the seconds that answers take, and the answers."""
        started = self.seconds()
        said = [self.ask(query) for query in queries]
        return self.seconds() - started, said


def drawn(model: str, tokens: int) -> list[Example]:
    """Return demonstrations of so many tokens."""
    draw = Random(0)
    texts = [" ".join(draw.choices(WORDS, k=8)) for _ in range(tokens)]
    examples = [Example(text, draw.choice(WORDS)) for text in dict.fromkeys(texts)]
    total, each = lengths(None, model, "", examples)
    for count, one in enumerate(each, start=1):
        total += one
        if total >= tokens:
            return examples[:count]
    return examples


@contextmanager
def served(model: str, *options: str) -> Iterator[tuple[OpenAI, int]]:
    """Start a server in a process of its own."""
    command = child.command("yofo_mlx.cli", "serve", model, "--port", "0", *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            yield OpenAI(base_url=url, api_key="none", timeout=3600), process.pid
        finally:
            process.terminate()


def compare(session: Side, server: Side, queries: list[str]) -> dict[str, Any]:
    """Ask both in turn, a few queries at a time: the system counts in hundredths of a second."""
    for side in (session, server):
        side.ask(queries[0])
    seconds: dict[Side, list[float]] = {session: [], server: []}
    same = 0
    for start in range(0, len(queries), AT_ONCE):
        some = queries[start : start + AT_ONCE]
        order = (session, server) if start // AT_ONCE % 2 else (server, session)
        said = []
        for side in order:
            took, texts = side.timed(some)
            seconds[side].append(took / len(some))
            said.append(texts)
        same += sum(one == other for one, other in zip(*said, strict=True))
    ours, its_own = median(seconds[server]), median(seconds[session])
    return {
        "ratio": ours / its_own,
        "server_s": ours,
        "session_s": its_own,
        "same_answers": f"{same} of {len(queries)}",
    }


def crowd(session: Ask, server: Side, queries: list[str], clients: int) -> dict[str, Any]:
    """Let many clients ask at once; none may be lost, and none get what another one asked."""
    expected = {query: session(query) for query in dict.fromkeys(queries)}
    started, spent = time.perf_counter(), server.answering_s()
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(server.ask, queries))
    seconds = time.perf_counter() - started
    cpu_s = None if spent is None else (server.answering_s() or spent) - spent
    right = sum(text == expected[query] for query, text in zip(queries, found, strict=True))
    return {
        "clients": clients,
        "answers_as_alone": f"{right} of {len(queries)}",
        "requests_per_s": len(queries) / seconds,
        "requests_per_cpu_s": cpu_s and len(queries) / cpu_s,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    examples = drawn(options.model, options.tokens)
    one = sets.checked(SET)
    sets.add(one, examples)
    draw = Random(1)
    most = options.max_tokens
    queries = [" ".join(draw.choices(WORDS, k=10)) for _ in range(options.queries)]
    offer = Offer(tuple(examples), shots="all", kept=str(one.caches))
    pinned = ("--demos", SET, "--shots", "all")
    with SessionClient() as client:
        held = Held(client)
        held.load(Model(model=options.model))
        held.read(offer)

        def session(query: str) -> str:
            return str(held.call("generate", {"input": query, "max_tokens": most})["text"])

        with served(options.model, *pinned) as (openai, pid):

            def server(query: str) -> str:
                messages: Any = [{"role": "user", "content": query}]
                answer = openai.chat.completions.create(
                    model=f"{Path(options.model).name}:{SET}", messages=messages, max_tokens=most
                )
                return answer.choices[0].message.content or ""

            figures = {"prefix_tokens": held.facts["tokens"], "shots": len(examples)}
            assert client.pid
            answers = Side(server, pid)
            figures |= compare(Side(session, client.pid), answers, queries)
            if options.clients:
                asked = [queries[n % len(queries)] for n in range(options.requests)]
                figures |= crowd(session, answers, asked, options.clients)
    return figures | {"load": os.getloadavg()[0]} | versions_and_machine()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="out/smollm2")
    parser.add_argument("--tokens", type=int, default=4000, help="of the pinned set")
    parser.add_argument("--queries", type=int, default=25)
    parser.add_argument("--max-tokens", type=int, default=8, help="of an answer")
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    measurements.add_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["YOFO_HOME"] = home
        figures = measure(options)
    about = {"model": options.model, "tokens": options.tokens}
    measurements.keep(options.table, figures, method="server", **about)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
