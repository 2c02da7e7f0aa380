"""`yofo disk`: what takes room, and what can go."""

import time
from collections.abc import Sequence
from dataclasses import asdict

from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.storage.disk import KINDS, Item, free_item, free_room, items
from yofo_mlx.storage.undo import all_thrown, newest_thrown, put_back
from yofo_mlx.system.quantities import age, plural, size
from yofo_mlx.system.talk import print_path, quoted, say, say_next
from yofo_mlx.system.text import json_line, shorten

HEADS = ("name", "size", "used", "without it")
SMALL = 10**6  # bytes


def show(*, everything: bool, as_json: bool) -> ExitCode:
    """List what takes room."""
    found = items()
    if as_json:
        rows = [
            asdict(one) | {"path": str(one.path), "cost": one.cost, "can_go": not one.why_not}
            for one in found
        ]
        print(json_line({"free": free_room(), "items": rows}))
        return ExitCode.OK
    shown = [one for one in found if everything or one.nbytes >= SMALL]
    if shown:
        show_table(HEADS, [_cells(one) for one in shown], numbers=("size", "used"))
    if small := len(found) - len(shown):
        say(f"and {plural(small, 'item')} below {size(SMALL)}: `yofo disk --all`")
    say(f"{size(sum(one.nbytes for one in found))} in all, {size(free_room())} free")
    if free := next((one for one in shown if one.spare and one.undo), None):
        say_next(f"disk free {quoted(free.name)}")
    return ExitCode.OK


def _cells(one: Item) -> list[str]:
    return [one.name, size(one.nbytes), age(time.time() - one.used), one.why_not or one.cost]


def free(names: Sequence[str], *, for_good: bool) -> ExitCode:
    """Let things go; all are looked at before the first."""
    found = items()
    chosen = list(dict.fromkeys(one for name in names for one in _named(found, name)))
    lasting = [one.name for one in chosen if not one.undo]
    if lasting and not for_good:
        raise RecipeError(
            f"{', '.join(lasting)}: that cannot be brought back", "with --for-good it goes"
        )
    for one in chosen:
        free_item(one)
    freed = sum(one.nbytes for one in chosen if not one.undo)
    held = sum(one.nbytes for one in chosen if one.undo)
    if freed:
        say(f"{size(freed)} freed")
    if held:
        say(f"{size(held)} in the trash; `yofo disk free trash --for-good` frees that")
        runs = [one for one in chosen if one.kind == "run"]
        say_next(f"restore {quoted(runs[0].path.name)}" if runs == chosen else "disk undo")
    return ExitCode.OK


def _named(found: Sequence[Item], name: str) -> list[Item]:
    """Return what a name stands for: itself, a part that one has, or all of a kind but runs."""
    if exact := [one for one in found if one.name == name]:
        return exact
    if some := [one for one in found if one.kind == name and one.spare]:
        return some
    if name in KINDS:
        raise RecipeError(f"no {name} can go by that word alone", "name one: `yofo disk --all`")
    matches = [one for one in found if name and name in one.name]
    if len(matches) == 1:
        return matches
    some_of = f": {', '.join(one.name for one in matches[:5])}" if matches else ""
    which = "several things that take room" if matches else "nothing that takes room"
    raise RecipeError(
        f"'{shorten(name)}' is {which}{some_of}", "`yofo disk --all` lists what there is"
    )


def undo() -> ExitCode:
    """Bring back what was let go last."""
    last = newest_thrown()
    if last is None:
        raise RecipeError("the trash is empty", "`yofo disk` lists what takes room")
    print_path(put_back(last))
    if left := len(all_thrown()):
        say(f"{plural(left, 'more thing')} in the trash; `yofo disk undo` again brings back one")
    return ExitCode.OK
