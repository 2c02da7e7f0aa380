"""The `[template]` table of a recipe: how demonstrations become text."""

import re
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import field_validator, model_validator

from yofo_mlx.errors import RunError
from yofo_mlx.recipe.section import Section
from yofo_mlx.system.text import reason

TEMPLATE_FILE = "yofo_template.json"  # beside weights that were trained with it


class Template(Section):
    """How demonstrations become text."""

    style: Literal["auto", "chat", "plain"] = "auto"
    """`chat`: the model's own template; `plain`: the lines below; `auto`: chat if it has one."""
    instruction: str = "{instruction}\n\n"
    """Plain style: the task's instruction, where it has one."""
    input: str = "Input: {input}\nOutput:"
    """Plain style: what comes before an answer."""
    output: str = " {output}\n\n"
    """Plain style: the answer with the characters that end it."""
    channel: bool = False
    """The answer stands first, and its input is what is said: the channel variant of MetaICL (arXiv
    2110.15943), for tasks with labels. The answer is the label that makes an input likeliest."""
    date: str = "2026-01-01"
    """Chat style: the day (YYYY-MM-DD) that a template which writes today's date is told."""

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        for name in ("instruction", "input", "output"):
            if getattr(self, name).count("{" + name + "}") != 1:
                raise ValueError(f"`{name}` must contain the placeholder {{{name}}} once")
        lead, end = self.output.split("{output}")
        if not end.strip() and "\n" not in end:
            raise ValueError("`output` must end with what ends an answer, such as \\n")
        if (lead + "\0" + end).find(end) <= len(lead):
            raise ValueError("`output` has what ends an answer in front of it as well")
        return self

    @field_validator("date")
    @classmethod
    def _is_a_day(cls, text: str) -> str:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError("give a day as YYYY-MM-DD")
        date.fromisoformat(text)
        return text


def write_template(folder: Path, template: Template) -> None:
    """Write what an adapter, or a model that holds one, was trained with, into its folder."""
    text = template.model_dump_json(indent=2)
    (folder / TEMPLATE_FILE).write_text(text + "\n", encoding="utf-8")


def kept_template(folder: Path) -> Template:
    """Return the template that an adapter or a model was trained with; the default without one."""
    path = folder / TEMPLATE_FILE
    if not path.is_file():
        return Template()
    try:
        return Template.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} is not a template: {reason(error)}", "remove it to go by the default"
        ) from error
