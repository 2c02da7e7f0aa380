"""The Modelfile of a GGUF file: how Ollama writes a conversation as the run was trained to read it.

https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx
"""

from contextlib import suppress
from typing import Any

from yofo_mlx.episodes.frames import Frame, chat_frame, plain_frame
from yofo_mlx.episodes.markers import begin_ids
from yofo_mlx.episodes.segments import style
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import Recipe

MODEL = "model.gguf"
FENCE = '"""'


def modelfile(recipe: Recipe, tokenizer: Any, context: int | None) -> str:
    """Return the Modelfile; without a TEMPLATE where Ollama has to go by the model's own.

    `context`: tokens that the model was trained to read, None if that is not known.
    """
    wanted = recipe.longest_prompt
    lines = [
        f"FROM ./{MODEL}",
        f"PARAMETER num_ctx {min(wanted, context or wanted)}",
        "PARAMETER temperature 0",
    ]
    with suppress(RecipeError):  # a chat template that is not plain turns
        bare, instructed = _frame(recipe, tokenizer, ""), _frame(recipe, tokenizer, "x")
        lines.append(f"PARAMETER stop {_quoted(instructed.answer_end)}")
        text = _template(bare, instructed, tokenizer.decode(begin_ids(tokenizer)))
        lines += [f"TEMPLATE {FENCE}{text}{FENCE}"] if text else []
    return "\n".join(lines) + "\n"


def _frame(recipe: Recipe, tokenizer: Any, instruction: str) -> Frame:
    if style(tokenizer, recipe.template) == "plain":
        return plain_frame(recipe.template, instruction)
    return chat_frame(tokenizer, instruction, recipe.template.date)[0]


def _template(bare: Frame, frame: Frame, bos: str) -> str:
    """Return a template of Go's, empty where none can be; the system's turn is the instruction.

    `bare`: the frame without an instruction, where a model may have one of its own.
    """
    # llama.cpp writes the token that begins a text itself.
    begins, opening = (_literal(one.opening.removeprefix(bos)) for one in (bare, frame))
    pieces = (frame.after_instruction, frame.before_input, frame.before_answer)
    after, before_input, before_answer = map(_literal, pieces)
    lead, end = _literal(frame.answer_lead), _literal(frame.answer_end)
    start = ""
    if not bare.before_first == frame.before_first == frame.before_input:
        # What stands before the first input goes with what stands before that.
        begins += _literal(bare.before_first)
        after += _literal(frame.before_first)
        start = "{{ $first := true }}"
        before_input = (
            f"{{{{ if $first }}}}{{{{ $first = false }}}}{{{{ else }}}}{before_input}{{{{ end }}}}"
        )
    own = f'{{{{ if ne (index .Messages 0).Role "system" }}}}{begins}{{{{ end }}}}'
    text = (
        f"{start}{own if begins else ''}{{{{ range .Messages }}}}"
        f'{{{{ if eq .Role "system" }}}}{opening}{{{{ .Content }}}}{after}'
        f'{{{{ else if eq .Role "user" }}}}{before_input}{{{{ .Content }}}}{before_answer}'
        f"{{{{ else }}}}{lead}{{{{ .Content }}}}{end}"
        "{{ end }}{{ end }}"
    )
    return "" if FENCE in text else text


def _literal(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    """Return a value as a Modelfile holds it: over several lines where it has line ends."""
    return f"{FENCE}{text}{FENCE}" if "\n" in text or '"' in text else f'"{text}"'
