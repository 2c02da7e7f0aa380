"""Count the map: how many rooms the code has, and which imports cross from one to another.

    python scripts/imports.py [ROOT]     # the folder of any tree of this repository; else this one

A room is a folder of `yofo_mlx`, a module that lies flat in it, or `tui`; a place is a folder of
`tui`, itself among them. An import is a pair of modules, however often and wherever one names the
other, inside functions as well. An arrow is an ordered pair of rooms, or of places.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

ENGINE, APP = "yofo_mlx", "tui"
Pair = tuple[str, str]


def find_modules(root: Path) -> dict[str, Path]:
    """Return the modules of both packages by their dotted names."""
    paths = [path for package in (ENGINE, APP) for path in (root / package).rglob("*.py")]
    names = (".".join(path.relative_to(root).with_suffix("").parts) for path in paths)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


def find_imports(modules: dict[str, Path]) -> set[Pair]:
    """Return which module imports which; a package is imported where a name in it is."""
    found = set()
    for module, path in modules.items():
        for name in find_names(module, path):
            target = name if name in modules else name.rpartition(".")[0]
            if target in modules:
                found.add((module, target))
    return found


def find_names(module: str, path: Path) -> Iterator[str]:
    """Yield what a module imports by its full name, each time and however it is written."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        yield from _named(node, package)


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        source = resolve_name("." * node.level + (node.module or ""), package)
        yield from (f"{source}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str:
    """Return a module's room; the engine's own `__init__` counts as one where it is imported."""
    package, *inner = module.split(".")
    return inner[0] if package == ENGINE and inner else package


def find_floors(root: Path) -> dict[str, int]:
    """Return the floor of each room, counted from the top, in the longest contract of layers."""
    tools = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]
    contracts = tools["importlinter"]["contracts"]
    orders = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    floors: dict[str, int] = {}
    for floor, layer in enumerate(max(orders, key=len, default=[])):
        for name in layer.replace(":", "|").split("|"):
            floors.setdefault(room_of(name.strip(" ()")), floor)
    return floors


def count_backward(arrows: set[Pair]) -> int:
    """Return how many arrows run back up in the best order that the rooms can have."""
    reached = {room: {room} for arrow in arrows for room in arrow}
    while any(not reached[low] <= reached[high] for high, low in arrows):
        for high, low in arrows:
            reached[high] |= reached[low]
    circles = {frozenset(b for b in reached[a] if a in reached[b]) for a in reached}

    @cache
    def least(rooms: frozenset[str]) -> int:
        """Return the fewest, whichever of the rooms is put below the others."""
        up = {one: sum((one, other) in arrows for other in rooms) for one in rooms}
        return min((cost + least(rooms - {one}) for one, cost in up.items()), default=0)

    return sum(least(circle) for circle in circles)


def count(root: Path) -> dict[str, int | None]:
    """Return what there is how often; None where the contract does not name all rooms."""
    modules = find_modules(root)
    imports = find_imports(modules)
    rooms = {room_of(name) for name in modules} - {ENGINE}
    ends = [(room_of(source), room_of(target)) for source, target in imports]
    arrows = {(source, target) for source, target in ends if source != target}
    floors = find_floors(root)
    upward = [(a, b) for a, b in arrows if floors.get(a, 0) > floors.get(b, len(floors))]
    app = [pair for pair in imports if all(room_of(name) == APP for name in pair)]
    places = [tuple(modules[name].parent for name in pair) for pair in app]
    return {
        "top-level rooms": len(rooms),
        "modules flat in yofo_mlx": len([*(root / ENGINE).glob("[!_]*.py")]),
        "imports between modules": len(imports),
        "... that stay inside a room": sum(source == target for source, target in ends),
        "arrows between rooms": len(arrows),
        "... that run up in the best order of the rooms": count_backward(arrows),
        "... that run up in the order of the contract": len(upward) if rooms <= {*floors} else None,
        "imports inside the app": len(places),
        "... that stay inside a place": sum(source == target for source, target in places),
        "arrows between places": len({pair for pair in places if pair[0] != pair[1]}),
    }


def main() -> None:
    root = Path(sys.argv[1] if sys.argv[1:] else Path(__file__).parents[1])
    if not (root / ENGINE).is_dir():
        sys.exit(f"{root} holds no tree of this repository: there is no {ENGINE} in it")
    for what, number in count(root).items():
        print(f"{'-' if number is None else number:>6}  {what}")


if __name__ == "__main__":
    main()
