"""Modelfiles: what their templates write of a conversation is what yofo asks with."""

import re
from typing import Any

import pytest

from tests.fakes import ByteTokenizer
from yofo_mlx.episodes.frames import chat_frame
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.export.ollama import modelfile
from yofo_mlx.recipe.file import validate

TURNS = [("one", "yes"), ("two {{", "no"), ("three", "")]


def recipe(**template: Any) -> Any:
    made = {"model": "tiny", "train": {"steps": 1}, "tasks": [{"source": "tiny:train"}]}
    return validate(made | {"template": template, "episodes": {"max_tokens": 500}}, "x")


def rendered(text: str, turns: list[tuple[str, str]], system: str) -> str:
    """Return what Go's text/template makes of the one form of template that there is."""
    found = re.search(r'TEMPLATE """(.*)"""\n', text, re.DOTALL)
    assert found
    own = re.search(r"\{\{ if ne \(index .Messages 0\)[^}]*\}\}(.*?)\{\{ end \}\}", found[1], re.S)
    parts = re.fullmatch(
        r'.*?\{\{ if eq .Role "system" \}\}(.*)\{\{ else if eq .Role "user" \}\}(.*)'
        r"\{\{ else \}\}(.*)\{\{ end \}\}\{\{ end \}\}",
        found[1],
        re.DOTALL,
    )
    assert parts
    kinds = dict(zip(("system", "user", "assistant"), parts.groups(), strict=True))
    first = r"\{\{ if \$first \}\}\{\{ \$first = false \}\}\{\{ else \}\}(.*?)\{\{ end \}\}(.*)"
    if differs := re.fullmatch(first, kinds["user"], re.DOTALL):
        assert found[1].startswith("{{ $first := true }}")
        kinds |= {"user": differs[1] + differs[2], "first": differs[2]}
    messages = [("system", system)] if system else []
    for said, answer in turns:
        messages += [("user", said), ("assistant", answer)]
    pieces = [own[1] if own and not system else ""]
    for role, content in messages[:-1]:  # the last answer is asked for
        role = "first" if role == "user" and "first" in kinds and content == "one" else role
        pieces.append(kinds[role].replace("{{ .Content }}", "\0").replace("\0", content))
    return "".join(pieces).replace('{{ "{{" }}', "{{")


@pytest.mark.parametrize("instruction", ["", "Say yes or no."])
@pytest.mark.parametrize("style", ["plain", "chat"])
def test_the_template_writes_what_yofo_asks_with(style: str, instruction: str) -> None:
    tokenizer = ByteTokenizer(chat=True)
    made = recipe(style=style)
    text = modelfile(made, tokenizer, 400)
    assert text.startswith("FROM ./model.gguf\nPARAMETER num_ctx 400\nPARAMETER temperature 0\n")
    segmenter = Segmenter(tokenizer, made.template, instruction)
    tokens = list(segmenter.opening)
    for number, (said, answer) in enumerate(TURNS):
        tokens += segmenter.question(said, first=not number)
        tokens += segmenter.answer(answer) if answer else []
    expected = tokenizer.decode(tokens).removeprefix("<s>")
    assert rendered(text, TURNS, instruction) == expected
    stop = "\n\n" if style == "plain" else chat_frame(tokenizer, "", "2026-01-01")[0].answer_end
    assert f"PARAMETER stop {stop!r}".replace("'", '"') in text or f'stop """{stop}"""' in text


def test_without_plain_turns_the_model_s_own_template_counts() -> None:
    class Odd(ByteTokenizer):
        def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str:
            return super().apply_chat_template(conversation[:1])

    text = modelfile(recipe(style="chat"), Odd(chat=True), None)
    assert text == "FROM ./model.gguf\nPARAMETER num_ctx 500\nPARAMETER temperature 0\n"
