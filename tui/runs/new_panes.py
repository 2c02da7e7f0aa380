"""What stands beside the form of a new run: plan, episode, help on a key, what will be written."""

import textwrap
import time
from collections.abc import Iterator
from typing import Any

from textual.content import Content

from yofo_mlx.system.quantities import duration, plural, size

from ..shared.blocks import bar
from ..shared.table import head
from ..shared.words import MUTED, lines, muted, number, safe
from .new_draft import Draft
from .new_keys import as_text, facts_of
from .new_tables import RUN

LABEL = 9
DAY_S = 24 * 3600  # a run that takes longer is not just another one
NBSP = "\N{NO-BREAK SPACE}"


def plan_content(facts: dict[str, Any], draft: Draft, width: int) -> Content:
    """Return the forecast of a run, a fact a line."""
    return lines([*_memory(facts, width), *_run(facts, draft, width), *_warnings(facts)])


def short_plan(facts: dict[str, Any], draft: Draft, width: int) -> Content:
    """Return the forecast of a run, a line for each thing that is asked first."""
    gauge, _, how = _memory(facts, width)
    shots = "" if facts["shots"] is None else f" · {number(facts['shots'])} shots an episode"
    speed = facts["speed"]
    words = Content("" if speed else "time ") + Content(_time(facts))
    said = [gauge, how[LABEL:] + Content(shots)]
    said.append(words.stylize("$text-warning") if _is_long(facts) else words)
    said += [muted(head(str(speed["words"]), width))] if speed else []
    return lines([*said, Content(_tokens(facts, draft)), *list(_warnings(facts))[:1]])


def _line(label: str, *parts: Content | str | tuple[str, str]) -> Content:
    return Content.assemble((f"{label:<{LABEL}}", MUTED), *parts)


def _wrapped(label: str, words: str, width: int, style: str = "") -> Content:
    """Return a fact that may need several lines, all of them behind its label."""
    rows = textwrap.wrap(words, max(20, width - LABEL)) or [""]
    labels = [label, *[""] * (len(rows) - 1)]
    return lines([_line(one, (row, style)) for one, row in zip(labels, rows, strict=True)])


def _memory(facts: dict[str, Any], width: int) -> Iterator[Content]:
    """Yield the gauge, what the memory is for, and the way a step is taken."""
    needed, limit, fits = facts["needed_gb"], facts["limit_gb"], facts["fits"]
    style = "$text-success" if fits else "$text-error"
    after = f" {size(1e9 * needed)} of {size(1e9 * limit)}"
    verdict = "  fits ✓" if fits else "  ✗ does not fit"
    room = max(8, width - LABEL - len(after) - len(verdict) - 3)
    share = needed / limit if limit else 1.0
    gauge = Content.assemble(("▕", MUTED), (bar(share, room), style), ("▏", MUTED))
    yield _line("memory", gauge, after, (verdict, style))
    parts = {
        "weights": ("weights",),
        "kept": ("activations_kept",),
        "K/V": ("keys_values",),
        "work": ("activations_work",),
        "adapter": ("adapter", "optimizer", "gradients"),
    }
    sizes = [(name, 1e9 * sum(facts[f"{k}_gb"] for k in ks)) for name, ks in parts.items()]
    told = " · ".join(f"{name} {size(n)}".replace(" ", NBSP) for name, n in sizes if n >= 5e4)
    yield _wrapped("", told, width, MUTED)
    if fits:
        yield _line("how", _way(facts))
    elif longest := facts["longest_max_tokens"]:
        words = f"episodes.max_tokens = {longest:,} would fit: "
        yield _line("how", words, ("f", "bold $text-accent"), " sets it")
    else:
        yield _line("how", "take a smaller model, or one of 4 bits")


def _way(facts: dict[str, Any]) -> str:
    if facts["method"] == "plain":
        return "whole episodes at once"
    return f"chunked: {facts['chunk']:,} tokens, {plural(facts['stash'], 'layer')} at a time"


def _run(facts: dict[str, Any], draft: Draft, width: int) -> Iterator[Content]:
    is_bound = facts["counted"] == "bounds"
    yield _wrapped("time", _time(facts), width, "$text-warning" if _is_long(facts) else "")
    if speed := facts["speed"]:
        yield _wrapped("", str(speed["words"]), width, MUTED)
    if not facts["is_here"]:
        yield _line("model", "not on this disk: it is fetched when the run starts")
    yield _line("volume", _tokens(facts, draft))
    if not is_bound:
        longest = f"the longest {facts['longest_episode']:,} tokens"
        yield _wrapped("shots", f"{number(facts['shots'])} an episode · {longest}", width)
    keep = draft.value("train.keep_checkpoints") or int(facts_of("train.keep_checkpoints").default)
    each = 3 * 1e9 * facts["adapter_gb"]  # the adapter and AdamW's two moments
    if isinstance(keep, int):
        free = f" · {size(1e9 * facts['free_gb'])} free" if facts["free_gb"] else ""
        yield _line("disk", f"{plural(keep, 'checkpoint')} of {size(each)}{free}")


def _tokens(facts: dict[str, Any], draft: Draft) -> str:
    tokens, targets = facts["tokens"], facts["targets"]
    share = f", {100 * targets / tokens:.0f} % trained" if targets and tokens else ""
    is_most = facts["counted"] == "bounds" and draft.value("train.tokens") is None
    most = "at most " if is_most else ""
    return f"{most}{number(tokens)} tokens in {plural(facts['steps'], 'step')}{share}"


def _time(facts: dict[str, Any]) -> str:
    if not facts["speed"]:
        how = ", or press t" if facts["is_here"] else ""
        return f"not known before a run with this model{how}"
    seconds = _seconds(facts)
    most = "at most " if facts["counted"] == "bounds" else ""
    end = time.strftime("%H:%M" if seconds < 20 * 3600 else "%a %H:%M", _at(seconds))
    long = "more than a day: " if _is_long(facts) else ""
    rate = f"{number(facts['tokens_per_s'])} tokens/s"
    return f"{long}{most}{duration(seconds)}, ends {end} · {rate}"


def _seconds(facts: dict[str, Any]) -> float:
    return float(facts["seconds_total"] + facts["seconds_validating"])


def _is_long(facts: dict[str, Any]) -> bool:
    return bool(facts["speed"]) and _seconds(facts) > DAY_S


def _at(seconds: float) -> time.struct_time:
    return time.localtime(time.time() + min(seconds, 1e9))


def _warnings(facts: dict[str, Any]) -> Iterator[Content]:
    for message, hint in facts["warnings"]:
        said = f"{message}; {hint}" if hint else message
        yield Content.assemble(("! ", "$text-warning"), safe(said, 300))


def episode_content(shown: dict[str, Any]) -> Content:
    """Return the text of an episode, what is trained on green; a line's end in it is shown."""
    parts: list[Content] = []
    for text, is_target in shown["pieces"]:
        if is_target:
            visible = safe(text.replace("\n", "⏎")).stylize("$text-success on $success-muted")
            parts += [visible, Content("\n" * text.count("\n"))]
        else:
            parts.append(safe(text))
    return Content("").join(parts)


def episode_line(shown: dict[str, Any]) -> str:
    """Say what an episode has."""
    tokens, targets = shown["tokens"], shown["targets"]
    counts = f"{plural(shown['shots'], 'shot')} · {plural(tokens, 'token')}"
    return f"{counts} · {targets:,} trained ({100 * targets / max(tokens, 1):.0f} %)"


def about_form(draft: Draft, key: str) -> Content:
    """Return what a row of the form itself is for."""
    if key == RUN:
        return Content("What the run is called; its folder begins with the date.")
    about = str(draft.base.data.get("description", ""))
    return lines([safe(about, 300), safe(draft.recipe, 300).stylize(MUTED)])


def about_key(draft: Draft, key: str, wrong: str = "") -> Content:
    """Return what a key means, takes and is by default."""
    facts = facts_of(key)
    default = facts.usual or "left out"
    said = [safe(facts.help.replace("\n", " "))]
    said.append(Content.assemble((f"{facts.takes} · default ", MUTED), safe(default)))
    if draft.is_other(key):
        before = as_text(draft.before(key)) or "left out"
        said.append(Content.assemble(("in the recipe ", MUTED), safe(before)))
    if wrong:
        said.insert(0, Content.assemble(("✗ ", "$text-error"), safe(wrong)))
    return lines(said)


def gist(key: str) -> Content:
    """Return what a key means in a line."""
    return muted(facts_of(key).help.replace("`", "").replace("\n", " "))


def toml_content(text: str, before: str) -> tuple[Content, int]:
    """Return the text of a recipe, what is new in it marked; and the first line of that."""
    known = set(before.split("\n"))
    shown: list[Content] = []
    first = 0
    for place, line in enumerate(text.rstrip("\n").split("\n")):
        is_new = line not in known
        first = first or (place if is_new else 0)
        style = "$text-success" if is_new else MUTED if line.startswith("#") else ""
        shown.append(safe(line).stylize(style) if style else safe(line))
    return lines(shown), first
