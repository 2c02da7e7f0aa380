"""Make docs/hardware.md from the reports of machines in docs/hardware/.

python scripts/hardware.py     # after a report was added
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "hardware.md"
REPORTS = ROOT / "docs" / "hardware"

HEAD = """\
# Machines measured so far

`yofo doctor --report FILE` checks this machine, and takes a handful of steps with random models of
known shapes, at growing lengths, as far as memory and three minutes reach. It says what it is at;
Ctrl-C leaves a whole file of what was measured until then. Nothing is downloaded. The file is JSON,
to be read before it is sent: chip, memory, versions, which attention is bounded, exactness in three
precisions, peaks beside their forecasts, tokens per second. It holds no name of a user, a host or a
folder, and no serial number.

**There is no report of a Mac yet.** If you have one, you have what this page lacks most: put the
file into `docs/hardware/` under the name of its chip, such as `m3-pro-36gb.json`, run
`python scripts/hardware.py`, and send both as a pull request; or attach the file to an issue.

Steps are loss and gradients of one episode with an answer of 2 tokens every 32, LoRA of rank 8 on
every linear layer, after one to warm up. "MB" is MLX's peak above the loaded model, "forecast" what
the planner said, as a share of it. "Load" is how many programs wanted a core when it began: seconds
of a clock are longer by that, those of the CPU much less so.
"""


def page(reports: dict[str, dict[str, Any]]) -> str:
    """Return the page of reports by their names."""
    parts = [HEAD, *("\n".join(section(name, one)) for name, one in sorted(reports.items()))]
    return "\n".join(parts)


def section(name: str, told: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one machine; what an unfinished report lacks is left out."""
    machine, versions = told.get("machine", {}), told.get("versions", {})
    yield f"## {machine.get('chip', name)}, {machine.get('memory_gb', '?')} GB"
    yield ""
    words = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield (
        f"{machine.get('cores', '?')} cores, computes on its {machine.get('computes_on', '?')};"
        f" {machine.get('system', '?')}; Python {told.get('python', '?')}, {words}."
    )
    yield (
        f"{told.get('date', '?')}, load {told.get('load', '?')}; a run may use"
        f" {told.get('limit_gb', '?')} GB. [Report](hardware/{name}.json)"
        f"{'' if told.get('complete') else ', cut off'}."
    )
    yield ""
    if attention := told.get("attention"):
        yield from (f"- {line}" for line in _attention(attention))
    for one in told.get("exactness", []):
        yield f"- {_exactness(one)}"
    if steps := told.get("steps"):
        yield from ("", *_table(steps))
    if left := told.get("left"):
        words = "; ".join(
            f"{one['tokens']:,} tokens of {one['model']} ({one['why']})" for one in left
        )
        yield from ("", f"Not taken, for want of time or memory: {words}.")
    yield ""


def _attention(found: list[dict[str, Any]]) -> Iterator[str]:
    own = [f"{one['dtype']} of {one['head_dim']}" for one in found if one["native"]]
    others = [f"{one['dtype']} of {one['head_dim']}" for one in found if not one["native"]]
    if own:
        yield f"MLX's own attention is bounded: heads in {', '.join(own)}"
    if others:
        yield f"MLX's own attention is not bounded, so yofo's tiles: heads in {', '.join(others)}"


def _exactness(one: dict[str, Any]) -> str:
    if "gradients" not in one:
        return f"{one['type']}: not checked"
    verdict = "" if one["ok"] else " **WRONG**"
    return (
        f"{one['type']}: gradients in chunks {one['gradients']:.1e} of their norm from plain"
        f" autograd's (at most {one['tolerance']:.0e}){verdict}"
    )


def _table(steps: list[dict[str, Any]]) -> Iterator[str]:
    yield "| model | tokens | way | tokens/s | seconds | of the CPU | MB | forecast |"
    yield "|---|--:|---|--:|--:|--:|--:|--:|"
    for one in steps:
        way = f"chunks of {one['chunk']}, stash {one['stash']}" if one["chunk"] else "whole"
        yield (
            f"| {one['model']} | {one['tokens']:,} | {way} | {one['tokens_per_s']:,.0f}"
            f" | {one['seconds']:,.2f} | {one['cpu_seconds']:,.2f} | {one['peak_mb']:,.0f}"
            f" | {one['forecast_mb'] / one['peak_mb']:.2f} |"
        )


def read(folder: Path = REPORTS) -> dict[str, dict[str, Any]]:
    """Return the reports of a folder by the names of their files."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))
    }


if __name__ == "__main__":
    PAGE.write_text(page(read()), encoding="utf-8")
