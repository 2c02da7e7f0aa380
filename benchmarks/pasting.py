"""How long pasted demonstrations of 1 MB take to parse, by their form; `--json` for a machine.

python benchmarks/pasting.py
"""

import argparse
import csv
import io
import json
import time
from collections.abc import Callable, Iterable

import measurements

from yofo_mlx.prompting.demonstrations import parse

Pairs = list[tuple[str, str]]
MEGABYTE = 2**20


def lines(mark: str) -> Callable[[Pairs], str]:
    return lambda pairs: "\n".join(f"{given}{mark}{answer}" for given, answer in pairs)


def table(pairs: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(pairs)
    return text.getvalue()


def chat(given: str, answer: str) -> str:
    said = (("user", given), ("assistant", answer))
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in said]})


FORMS: dict[str, Callable[[Pairs], str]] = {
    "lines with `->`": lines(" -> "),
    "lines with a tab": lines("\t"),
    "blocks": lambda pairs: "\n\n".join(f"Input: {one}\nOutput: {two}" for one, two in pairs),
    "JSON lines": lambda pairs: "\n".join(
        json.dumps({"input": one, "output": two}) for one, two in pairs
    ),
    "JSON list": lambda pairs: json.dumps([{"input": one, "output": two} for one, two in pairs]),
    "chats": lambda pairs: "\n".join(chat(one, two) for one, two in pairs),
    "CSV with a header": lambda pairs: table([("text", "label"), *pairs]),
    "CSV of two columns": table,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="the least of them counts")
    parser.add_argument("--json", action="store_true")
    measurements.add_option(parser)
    asked = parser.parse_args()
    pairs = [
        (f"my card number {n} has not arrived, and it is {n % 31} days now", f"label_{n % 77}")
        for n in range(20_000)
    ]
    found = {name: measured(write, pairs, asked.times) for name, write in FORMS.items()}
    figures = {f"CPU seconds of 1 MB, {name}": seconds for name, seconds in found.items()}
    measurements.keep(asked.table, figures, method="pasting")
    if asked.json:
        print(json.dumps({"seconds": found, "slowest": max(found.values())}))
        return
    for name, seconds in found.items():
        print(f"{name:20} {seconds:6.3f} s")


def measured(write: Callable[[Pairs], str], pairs: Pairs, times: int) -> float:
    """Return the seconds that 1 MB of a form takes."""
    count = round(len(pairs) * MEGABYTE / len(write(pairs).encode()))
    text = write(pairs[:count])
    assert len(parse(text).examples) == count
    seconds = []
    for _ in range(times):
        began = time.process_time()
        parse(text)
        seconds.append(time.process_time() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
