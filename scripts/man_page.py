"""Print the man page of yofo, from its own help.

python scripts/man_page.py > yofo.1
"""

from collections.abc import Iterator
from typing import Any

import typer

from yofo_mlx import __version__
from yofo_mlx.cli.verbs import app


def main() -> None:
    root = typer.main.get_command(app)
    print(f'.TH YOFO 1 "" "yofo {__version__}"')
    print(".SH NAME\nyofo \\- fine-tune a language model with many-shot episodes")
    print(".SH SYNOPSIS\n.B yofo\n[VERB] [OPTIONS]\n.SH DESCRIPTION")
    print(escaped(root.help or ""))
    print(".SH VERBS")
    for words, verb in verbs(root, ("yofo",)):
        print(f".SS {escaped(' '.join(words))}\n{escaped(verb.help or '')}")
        for parameter in verb.params:
            print("\n".join(described(parameter)))


def verbs(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every verb that is shown, with the words that call it."""
    for name, verb in sorted(group.commands.items()):
        if not verb.hidden:
            yield (*words, name), verb
            if hasattr(verb, "commands"):
                yield from verbs(verb, (*words, name))


def described(parameter: Any) -> Iterator[str]:
    """Yield the lines of an option or an argument."""
    if not getattr(parameter, "hidden", False):
        names = ", ".join(parameter.opts) if parameter.param_type_name == "option" else ""
        yield ".TP"
        yield f".B {escaped(names or parameter.metavar or parameter.name.upper())}"
        yield escaped(getattr(parameter, "help", None) or "")


def escaped(text: str) -> str:
    """Return text as roff shows it."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("\b", "")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


if __name__ == "__main__":
    main()
