"""How long `yofo --help` takes, and the app until its first frame, in two trees side by side.

    python benchmarks/start_up.py OLD NEW     # commits, or folders that hold a tree

The app is started in a terminal of its own, with an empty home, and has drawn its first frame when
the last word of the bottom line has come. The trees take turns; the least of --times counts.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import measurements
import pexpect
from trees import environment, tree_of, yofo

LAST_WORD = "Commands"


def help_seconds(tree: Path, home: Path) -> float:
    began = time.perf_counter()
    subprocess.run(
        yofo(tree, "--help"), env=environment(tree, home), stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def frame_seconds(tree: Path, home: Path) -> float:
    program, *arguments = yofo(tree)
    variables = environment(tree, home) | {"TERM": "xterm-256color"}
    began = time.perf_counter()
    app = pexpect.spawn(program, arguments, env=variables, dimensions=(40, 120), timeout=60)
    app.expect(LAST_WORD)
    taken = time.perf_counter() - began
    app.close(force=True)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", nargs="+", metavar="TREE", help="commit or folder")
    parser.add_argument("--times", type=int, default=10)
    measurements.add_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        trees = {
            name: tree_of(name, Path(place) / str(i)) for i, name in enumerate(arguments.trees)
        }
        for what, measure in (("yofo --help", help_seconds), ("first frame", frame_seconds)):
            least = {name: measure(tree, home) for name, tree in trees.items()}  # compiles, too
            for _ in range(arguments.times):
                for name, tree in trees.items():
                    least[name] = min(least[name], measure(tree, home))
            for name, seconds in least.items():
                figures = {f"{what}, least seconds": seconds}
                measurements.keep(arguments.table, figures, method=f"start-up of {name}")
            print(what, *(f"{name} {seconds:.3f} s" for name, seconds in least.items()), sep="   ")


if __name__ == "__main__":
    main()
