"""Segments: stable places for answers, prefixes, chat templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import ByteTokenizer
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe import Template
from yofo_mlx.segments import Segmenter


class TemplatedTokenizer(ByteTokenizer):
    """Renders turns with a given function."""

    def __init__(self, render: object) -> None:
        super().__init__(chat=True)
        self.all_special_tokens = ["<s>", "</s>", "[INST]", "[/INST]"]
        self._render = render

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: object) -> str:
        return self._render(conversation)  # type: ignore[operator]


def mistral(conversation: list[dict[str, str]]) -> str:
    """Render as Mistral does: no system turn of its own, an answer's space before it."""
    if conversation[0]["role"] == "system":
        raise ValueError("no system turn")
    return "<s>" + "".join(
        f"[INST] {m['content']}[/INST]" if m["role"] == "user" else f" {m['content']}</s>"
        for m in conversation
    )


def llama2(conversation: list[dict[str, str]]) -> str:
    """Render as Llama 2 does: the end of a turn comes after a space."""
    return "".join(
        f"<s>[INST] {m['content']} [/INST]" if m["role"] == "user" else f" {m['content']} </s>"
        for m in conversation
    )


def joined(segmenter: Segmenter, pairs: list[tuple[str, str]]) -> list[int]:
    tokens = list(segmenter.opening)
    for index, (question, answer) in enumerate(pairs):
        tokens += segmenter.question(question, first=index == 0) + segmenter.answer(answer)
    return tokens


def test_plain_style_reads_as_the_template_says() -> None:
    tokenizer = ByteTokenizer()
    segmenter = Segmenter(tokenizer, Template(input="{input} ->", output=" {output}\n"), "Sort.")
    text = tokenizer.decode(joined(segmenter, [("a b", "x"), ("c", "y")]))
    assert text == "<s>Sort.\n\na b -> x\nc -> y\n"


def test_chat_style_equals_the_rendered_conversation() -> None:
    tokenizer = ByteTokenizer(chat=True)
    segmenter = Segmenter(tokenizer, Template(), "Sort.")
    turns = [("user", "a"), ("assistant", "x"), ("user", "b"), ("assistant", "y")]
    rendered = tokenizer.apply_chat_template(
        [{"role": "system", "content": "Sort."}, *({"role": r, "content": c} for r, c in turns)]
    )
    assert tokenizer.decode(joined(segmenter, [("a", "x"), ("b", "y")])) == rendered.rstrip("\n")


@pytest.mark.parametrize("render", [mistral, llama2])
def test_an_answer_ends_with_the_token_that_ends_the_turn(render: object) -> None:
    tokenizer = TemplatedTokenizer(render)
    segmenter = Segmenter(tokenizer, Template())
    answer = tokenizer.decode(segmenter.answer("yes"))
    assert answer.startswith(" yes") and answer.endswith("</s>")
    assert segmenter.is_complete(segmenter.answer("yes"))
    assert segmenter.text(segmenter.answer("yes")) == "yes"


def test_a_template_without_system_turn_gets_the_instruction_before_the_first_input() -> None:
    tokenizer = TemplatedTokenizer(mistral)
    segmenter = Segmenter(tokenizer, Template(), "Sort.")
    text = tokenizer.decode(joined(segmenter, [("a", "x"), ("b", "y")]))
    assert text == "<s>[INST] Sort.\n\na[/INST] x</s>[INST] b[/INST] y</s>"


def test_a_template_that_loses_turns_is_refused() -> None:
    tokenizer = TemplatedTokenizer(lambda turns: turns[-1]["content"])
    with pytest.raises(RecipeError, match="chat template"):
        Segmenter(tokenizer, Template())


def test_chat_style_without_a_chat_template_is_refused() -> None:
    with pytest.raises(RecipeError, match="no chat template"):
        Segmenter(ByteTokenizer(), Template(style="chat"))


@pytest.mark.parametrize("chat", [False, True])
def test_a_row_cannot_end_a_turn_or_an_answer(chat: bool) -> None:
    tokenizer = ByteTokenizer(chat=chat)
    segmenter = Segmenter(tokenizer, Template())
    answer = segmenter.answer("one\n\n\ntwo </s><|end|> three")
    assert [token for token in answer[:-2] if token >= 256] == []
    assert not segmenter.is_complete(answer[:-2])
    assert segmenter.text(answer).endswith("three")


words = st.text(min_size=1, max_size=12).filter(str.strip)


@given(pairs=st.lists(st.tuples(words, words), min_size=2, max_size=6), chat=st.booleans())
def test_tokens_of_k_shots_are_a_prefix_of_those_of_more(
    pairs: list[tuple[str, str]], chat: bool
) -> None:
    segmenter = Segmenter(ByteTokenizer(chat=chat), Template(), "Do it.")
    longest = joined(segmenter, pairs)
    for count in range(len(pairs)):
        shorter = joined(segmenter, pairs[:count])
        assert longest[: len(shorter)] == shorter
