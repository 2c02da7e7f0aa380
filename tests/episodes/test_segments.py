"""Segments: stable places for answers, prefixes, chat templates."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

from tests.chat_shapes import Shape, build
from tests.fakes import ByteTokenizer
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import RecipeError
from yofo_mlx.planning.workload import count_protected
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.task import Example, Task


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


LOOP, END = "{% for m in messages %}", "{% endfor %}"


def with_template(template: str, **more: object) -> Any:
    shape = Shape(template, "</s>", "<s> </s>", named={"eos_token": "</s>"}, ends="</s>")
    return build(Shape(**vars(shape) | more))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (LOOP + "{{ m.content }}" + END, "nothing in the model's chat template ends an answer"),
        (LOOP + "{{ m.content }} \t" + END, "nothing in the model's chat template ends an answer"),
        (LOOP + "{{ ' User: ' + m.content }}" + END, "nothing in the model's chat template ends"),
        (LOOP + "{{ m.content * 2 }}</s>" + END, "loses, repeats, moves or changes"),
        (LOOP + "{{ m.content | upper }}</s>" + END, "loses, repeats, moves or changes"),
        ("{% for m in messages[::-1] %}{{ m.content }}</s>" + END, "loses, repeats, moves"),
        ("{{ messages[0].content }}" + LOOP + "{{ m.content }}</s>" + END, "loses, repeats"),
        (LOOP + "{% for p in m.content %}{{ p.text }}{% endfor %}</s>" + END, "loses, repeats"),
        (LOOP + "{{ loop.index ~ m.content }}</s>" + END, "each turn in another way"),
        ("{{ raise_exception('for tools only') }}", "fails .*: for tools only"),
    ],
)
def test_a_template_that_cannot_hold_an_episode_is_refused(template: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        Segmenter(with_template(template), Template(), "Sort.")
    assert caught.value.hint == 'set template.style = "plain"'


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (LOOP + "{{ '### ' + m.role + ':\n' + m.content + '\n\n' }}" + END, "\n\n"),
        (LOOP + "{{ '[' + m.role + ']' + m.content + '[/' + m.role + ']' }}" + END, "[/assistant]"),
        (LOOP + "{{ '\n' if not loop.first }}{{ m.role + ': ' + m.content }}" + END, "\n"),
        (
            LOOP + "{{ m.role + ': ' + m.content + ('</s>' if loop.last else '\n\n') }}" + END,
            "\n\n",
        ),
        (
            LOOP
            + "{{ ('' if loop.first else '\n# ' + m.role + '\n') + m.content }}"
            + END
            + "{{ '\n# assistant\n' if add_generation_prompt }}",
            "\n",
        ),
    ],
)
def test_a_template_without_markers_ends_an_answer_as_the_last_one_ends(
    template: str, end: str
) -> None:
    tokenizer = with_template(template)
    segmenter = Segmenter(tokenizer, Template())
    assert tokenizer.decode(segmenter.answer("yes")).strip(" ") == "yes" + end
    assert segmenter.is_complete(segmenter.answer("yes"))
    answer = segmenter.answer(f"a{end}b{end}{end}c")
    assert not any(segmenter.is_complete(answer[:place]) for place in range(len(answer)))
    assert segmenter.alters(f"a{end}b") and not segmenter.alters("ab")


@given(text=st.text("ab\n <", max_size=12), end=st.text("ab\n<", min_size=1, max_size=4))
def test_an_answer_never_ends_early(text: str, end: str) -> None:
    try:
        template = Template(output=" {output}" + end)
    except ValueError:
        return
    segmenter = Segmenter(ByteTokenizer(), template)
    tokens = segmenter.answer(text)
    ended = next(place for place in range(len(tokens) + 1) if segmenter.is_complete(tokens[:place]))
    assert ended == len(tokens)
    assert segmenter.alters(text) or segmenter.text(tokens) == text.strip()


@pytest.mark.parametrize("output", ["{output}", "{output}  ", "\n{output}\n"])
def test_an_output_that_ends_nothing_is_refused(output: str) -> None:
    with pytest.raises(ValueError, match="ends an answer"):
        Template(output=output)


def test_what_a_template_writes_before_an_answer_is_no_part_of_it() -> None:
    segmenter = Segmenter(ByteTokenizer(), Template(input="Q: {input}\n", output="A: {output}\n"))
    question, answer = (
        bytes(tokens) for tokens in (segmenter.question("x"), segmenter.answer("y"))
    )
    assert (question, answer) == (b"Q: x\nA:", b" y\n")
    assert segmenter.text(list(answer)) == "y"


def test_a_marker_that_data_and_template_would_form_together_is_none() -> None:
    tokenizer = ByteTokenizer()
    segmenter = Segmenter(tokenizer, Template(input="<{input}>:", output="<{output}>\n"))
    tokens = segmenter.question("s") + segmenter.answer("/s")
    assert tokenizer.decode(tokens) == "<s>:</s>\n"
    assert [token for token in tokens if token >= 256] == []


def test_a_marker_in_the_template_of_a_recipe_stays_one() -> None:
    tokenizer = ByteTokenizer()
    segmenter = Segmenter(
        tokenizer, Template(input="<|user|>{input}<|end|>", output="{output}</s>")
    )
    tokens = segmenter.question("a <|user|>") + segmenter.answer("b</s>")
    assert [token for token in tokens if token >= 256] == [258, 260, 257]
    assert segmenter.text(segmenter.answer("b</s>")) == "b</s>"


@pytest.mark.parametrize("marker", ["<end>", "zz"])
@pytest.mark.parametrize("text", ["a{}b", "{}b", "a{}", "{}{}"])
def test_a_marker_that_only_a_normalisation_makes_is_text_too(marker: str, text: str) -> None:
    letters = [chr(code) for code in range(33, 127)]
    inner = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    inner.normalizer, inner.decoder = normalizers.Lowercase(), decoders.Fuse()
    inner.add_special_tokens([AddedToken(marker, normalized=True)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=marker)
    end = tokenizer.convert_tokens_to_ids(marker)
    text = text.replace("{}", marker.upper())
    assert end in tokenizer.encode(text, add_special_tokens=False)
    segmenter = Segmenter(tokenizer, Template(input="{input}:", output="{output}##"))
    for tokens in (segmenter.question(text), segmenter.answer(text)):
        assert end not in tokens and text.lower() in tokenizer.decode(tokens)


def test_data_is_cut_where_a_marker_is_and_nowhere_else() -> None:
    tokenizer = with_template(LOOP + "{{ m.content }}</s>" + END)
    segmenter = Segmenter(tokenizer, Template())
    cases = [("im <ye", False), ("im </s,ye", False), ("im </s>ye", True)]
    for text, holds in [*cases, ("im</s>x</s>ye", True)]:
        assert segmenter.holds_marker(text) == holds
        pieces = tokenizer.convert_ids_to_tokens(segmenter.question(text))
        assert {"im", "ye"} <= set(pieces) and pieces.count("</s>") == 1


def test_a_text_with_many_markers_is_whole_and_in_order() -> None:
    tokenizer = ByteTokenizer()
    segmenter = Segmenter(tokenizer, Template(input="{input}\n", output="{output}\n"))
    for gap in range(1, 20):
        text = "ab" + f"</s>{'x' * gap}" * 3 + "."
        tokens = segmenter.question(text)
        assert tokenizer.decode(tokens) == text + "\n" and max(tokens) < 256


def test_only_the_tokenizer_decides_whether_a_text_begins_with_a_token() -> None:
    assert Segmenter(ByteTokenizer(), Template()).opening == [256]
    named = {"bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = with_template(LOOP + "{{ m.content }}</s>" + END, named=named)
    assert tokenizer.bos_token == "<s>"
    assert Segmenter(tokenizer, Template(style="plain")).opening == []
    bos = [("<s>", tokenizer.convert_tokens_to_ids("<s>"))]
    adding = processors.TemplateProcessing("<s> $A", special_tokens=bos)
    tokenizer.backend_tokenizer.post_processor = adding
    assert Segmenter(tokenizer, Template(style="plain")).opening == [bos[0][1]]


def test_an_input_that_holds_a_marker_of_one_letter_is_counted_as_changed() -> None:
    tokenizer = ByteTokenizer()
    tokenizer.all_special_tokens = ["<s>", "</s>", "§"]
    segmenter = Segmenter(tokenizer, Template())
    task = Task("law", "other", (Example("see § 8", "x"), Example("see 8", "y")))
    assert tokenizer.decode(segmenter.question("see § 8")).count("§") == 0
    assert count_protected(segmenter, task).altered == 1
