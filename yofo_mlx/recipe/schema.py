"""The recipe: every knob of a run, declared once, with its help beside it.

The field descriptions feed `yofo recipes explain` and `docs/recipe.md`. Names follow mlx-lm where
it has one.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from yofo_mlx.recipe.condition import Condition
from yofo_mlx.recipe.family import Family
from yofo_mlx.recipe.lora import Lora as Lora
from yofo_mlx.recipe.objective import Objective as Objective
from yofo_mlx.recipe.section import (
    Count,
    Decay,
    Factor,
    LabelRange,
    OwnLabelRange,
    PositiveInt,
    Section,
    Share,
)
from yofo_mlx.recipe.study import Study
from yofo_mlx.recipe.template import Template as Template

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Compared = Literal["balanced", "similar", "tail"]


# What `episodes.fixed_shots` comes instead of.
NOT_FIXED = ("min_shots", "max_shots", "draw", "label_subset", "rename_labels")


class Episodes(Section):
    """How training sequences are drawn."""

    max_tokens: PositiveInt = 16384
    """Longest episode, in tokens."""
    min_shots: Count = 0
    """Fewest demonstrations before the last answer of an episode."""
    max_shots: Count | None = None
    """Most of them; left out: as many as fit. 0 is zero-shot tuning."""
    draw: Literal["uniform", "full"] = "uniform"
    """`uniform` draws the number of shots; `full` goes on until the next one does not fit."""
    label_subset: LabelRange | None = None
    """Labels that an episode of a task with one label a row shows, drawn afresh for each episode:
    at least and at most so many, such as `[4, 12]`. Left out: all. Validations and the evaluation
    have all labels."""
    rename_labels: Share = 0.0
    """Share of the episodes of tasks with labels in which every label becomes an arbitrary word,
    the same within the episode; no instruction is in it."""
    fixed_shots: PositiveInt | None = None
    """So many demonstrations of a task, the same throughout the run, stand before each of its other
    examples (FTICL, arXiv 2403.09162): instead of the five keys above, and with
    `objective.targets = "last"`."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        fields = type(self).model_fields
        given = [f"`{key}`" for key in NOT_FIXED if getattr(self, key) != fields[key].default]
        if self.fixed_shots and given:
            raise ValueError(f"`fixed_shots` comes instead of {' and '.join(given)}: give one")
        if self.max_shots is not None and self.max_shots < self.min_shots:
            raise ValueError("`max_shots` is smaller than `min_shots`")
        return self


class Optimizer(Section):
    """AdamW and its schedule."""

    learning_rate: Factor = 1e-4
    """Peak learning rate."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Shape of the decay after the warm-up."""
    warmup: Share = 0.05
    """Share of the run over which the learning rate rises from 0."""
    final: Share = 0.05
    """Learning rate at the end, as a share of the peak."""
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """AdamW's decay rates."""
    eps: Factor = 1e-8
    """AdamW's epsilon."""
    weight_decay: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    """Decoupled weight decay."""
    grad_clip: Factor = 1.0
    """Largest global norm of the gradient."""
    importance: bool = False
    """Outputs of a layer leave the base only where the run's gradients weigh more than the base's
    weights (SPIDER, arXiv 2411.10928); of `lora` that begins afresh."""


class Training(Section):
    """Length of the run, batches, checkpoints."""

    steps: PositiveInt | None = None
    """Optimizer updates of the run; give this or `tokens`."""
    tokens: PositiveInt | None = None
    """Tokens to process, padding not counted; the run ends with the update that reaches it."""
    batch_size: PositiveInt = 1
    """Episodes in one forward and backward pass."""
    grad_accumulation_steps: PositiveInt = 1
    """Passes to one optimizer update; sums are divided once, by all their targets."""
    batch_tokens: Annotated[int, Field(gt=0, le=2**20)] | None = None
    """Tokens of one optimizer update, about, padding not counted: it takes as many episodes as make
    so many, read in passes of rows of like length. Instead of the two keys above."""
    packed: bool = False
    """With `batch_tokens`: episodes share rows without padding, each read as if it stood alone."""
    eval_every: PositiveInt | None = None
    """Updates between validations; left out: only at the end."""
    patience: PositiveInt | None = None
    """Validations without a better loss after which the run stops early."""
    checkpoint_every: PositiveInt = 50
    """Updates between checkpoints; one more is written at the end."""
    keep_checkpoints: PositiveInt = 2
    """Checkpoints kept; older ones are removed."""

    @model_validator(mode="after")
    def _length(self) -> Self:
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give exactly one of `steps` and `tokens`")
        return self

    @model_validator(mode="after")
    def _size(self) -> Self:
        others = ("batch_size", "grad_accumulation_steps")
        given = [f"`{name}`" for name in others if getattr(self, name) != 1]
        if self.batch_tokens is not None and given:
            raise ValueError(f"`batch_tokens` comes instead of {' and '.join(given)}: give one")
        if self.packed and not self.batch_tokens:
            raise ValueError("`packed` needs `batch_tokens`")
        return self


class Memory(Section):
    """How long episodes are fitted into memory; the gradients are the same either way."""

    method: Literal["auto", "plain", "chunked"] = "auto"
    """`plain` differentiates whole episodes, `chunked` a piece at a time, in less memory; `auto`
    takes the fastest way that fits."""
    chunk: PositiveInt | None = None
    """Chunked: tokens at a time; left out: planned."""
    stash: PositiveInt | None = None
    """Chunked: layers that are recomputed together; left out: planned. About the root of the
    number of layers needs least memory; the number of layers recomputes nothing."""
    limit_gb: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Memory that steps are planned for, model included, in GB (1e9 bytes); left out: what the
    machine can give."""

    @model_validator(mode="after")
    def _dials_are_for_chunks(self) -> Self:
        if self.method == "plain" and (self.chunk or self.stash):
            raise ValueError('`method = "plain"` has no `chunk` and no `stash`')
        return self


class Evaluation(Section):
    """Accuracy and loss by number of shots."""

    shots: tuple[Count, ...] = (0, 1, 2, 4, 8, 16, 32)
    """Numbers of demonstrations to measure at; a task's end where few of its queries still fit."""
    queries: PositiveInt = 16
    """Queries of each task, the same at every number of shots; those too long are passed over."""
    draws: PositiveInt = 1
    """Independent draws of the demonstrations."""
    max_tokens: PositiveInt | None = None
    """Longest prompt; left out: the episodes' `max_tokens`."""
    max_answer_tokens: PositiveInt | None = None
    """Longest generated answer, for metrics that need generation; left out: half as long again as
    the longest expected answer of the task's queries, and 16 more."""
    choice: bool = False
    """Of tasks with one label an answer also how often the expected one is the likeliest of all
    their labels, as `/label` ranks them; every label is read after every query."""
    choose: Compared | None = None
    """Which demonstrations a query sees: drawn with labels in turn, those most like it, or half of
    them (16 at most) most like it behind the others; left out: drawn, the same for all queries."""
    valid_tasks: Count = 8
    """Tasks used by validations during training, spread over the training tasks; 0: none, and the
    last adapter is kept."""
    samples: Count = 3
    """Answers that each validation writes out, a query of a task each, at its most demonstrations;
    they change nothing of the run. 0: none."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.shots or list(self.shots) != sorted(set(self.shots)):
            raise ValueError("`shots` must be rising numbers, such as [0, 1, 4, 16]")
        return self


class TaskSource(Section):
    """One data set (or one of the embedded suite's roles) and how its rows become examples."""

    name: str | None = None
    """Name of the task; left out: taken from the source."""
    source: str
    """File, folder, files by `*` (a task each), hub id (`owner/name`), generated tasks
    (`synthetic:all:200`), or the embedded suite's `tiny:train`, `tiny:held_out`."""
    role: Literal["train", "held_out"] = "train"
    """`train`, or `held_out`: never trained on, only evaluated."""
    family: Family | None = None
    """Kind of the task; picks the default metric. Left out: guessed from the answers."""
    instruction: str = ""
    """Sentence put before the demonstrations."""
    input: str | None = None
    """Column of the input, or a template such as `{premise}\\nHypothesis: {hypothesis}`."""
    output: str | None = None
    """Column of the answer, or a template; a list is joined by `separator`."""
    rejected: str | None = None
    """Column of answers that are not to be given, or a template: of rows that carry a preferred and
    a rejected one; `objective.rejected` learns from it."""
    teacher: str | None = None
    """Column of distributions that are learned in place of the answers' tokens, as
    `yofo rehearse RECIPE --distill 8` writes them."""
    doubt: str | None = None
    """Column of numbers, how unsure the base is of a row's answer (`yofo rehearse RECIPE --doubt`
    writes them); `objective.smoothing` goes by it, the largest of the task being 1."""
    separator: str = ", "
    """Joins the labels of a multi-label answer."""
    labels: tuple[str, ...] | None = None
    """Label names, where the column holds their numbers; also the allowed answers."""
    records: str | None = None
    """JSON: dotted path to the list of rows, or `{split}` in it for one list per split."""
    where: Annotated[dict[str, Condition], Field(min_length=1)] | None = None
    """Rows to use, by columns as they are in the file: `{label = "x"}`, `{label = ["x", "y"]}`,
    `{label = {not_in = ["-"]}}`, `{label = {matches = "a regular expression"}}`."""
    groups: Annotated[dict[str, tuple[str, ...]], Field(min_length=1)] | None = None
    """Groups of labels, such as `{banking = ["transfer", "balance"], travel = ["visa"]}`: a task of
    each, called NAME-GROUP, of the rows whose labels are all in it."""
    files: dict[Literal["train", "valid", "test"], str] | None = None
    """File of each split, relative to `source`, where the names do not tell."""
    splits: dict[Literal["train", "valid", "test"], str] | None = None
    """Name of each split at the source, such as `{train = "train", test = "validation"}`."""
    config: str | None = None
    """Configuration (subset) of a data set on the hub, or of a copy of one."""
    revision: str | None = None
    """Hub: branch, tag or commit."""
    limit: PositiveInt | None = None
    """Most examples of the training split, drawn with the recipe's seed."""
    rows: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training inputs that is used, drawn with the recipe's seed; a smaller share is
    part of a larger one, and `valid` is the same for all. How much more rows would help, shares
    such as 0.125, 0.25, 0.5 and 1 tell."""
    valid_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the training split set aside as `valid` where the source has none; a held-out task
    with a `test` split keeps all."""
    bad_rows: Literal["refuse", "drop"] = "refuse"
    """Rows that cannot be read, or whose answer is not in `labels`: `refuse` the source, or `drop`
    them."""
    metric: Literal["auto", "exact", "number", "f1", "rouge", "fields"] = "auto"
    """Metric; `auto` follows the family. `number` compares the last number of each answer, `fields`
    JSON field by field."""
    answer_after: str | None = None
    """Only what follows this mark is compared, such as `####` for worked solutions."""
    queries: PositiveInt | None = None
    """Queries that are asked of this task; left out: `evaluation.queries`."""
    weight: Factor = 1.0
    """How often an episode is drawn from this task, relative to the others."""
    label_subset: OwnLabelRange | None = None
    """Instead of `episodes.label_subset`; `false` shows all labels."""

    @field_validator("groups")
    @classmethod
    def _named_and_filled(
        cls, groups: dict[str, tuple[str, ...]] | None
    ) -> dict[str, tuple[str, ...]] | None:
        if not all(name.strip() and labels for name, labels in (groups or {}).items()):
            raise ValueError("every group needs a name and labels")
        return groups

    @model_validator(mode="after")
    def _subset_is_trained(self) -> Self:
        if self.label_subset and self.role == "held_out":
            raise ValueError("`label_subset` is for training: a held-out task shows all its labels")
        return self


class Composition(Section):
    """How a file builds on others; the recipe that they make together says nothing of it."""

    include: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Recipe files, or one, that come before this one, which beats them: paths from its folder, or
    shipped recipes. They may be parts of a recipe, such as `[[tasks]]` alone."""

    @field_validator("include", mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        """Take `"x"` for `["x"]`."""
        several = [given] if isinstance(given, str) else given
        return tuple(several) if isinstance(several, list) else several


class Recipe(Section):
    """A run, as the user writes it."""

    description: str = ""
    """One line on what the recipe is for."""
    model: Annotated[str, Field(min_length=1)]
    """Hub id, directory, GGUF file, or `tiny` for the embedded model."""
    revision: str | None = None
    """Hub: branch, tag or commit of the model."""
    trust_remote_code: bool = False
    """Run code that comes with the model or tokenizer."""
    dtype: Dtype = "auto"
    """Type that the model computes in; the adapter, its gradients and the loss are float32 anyway.
    `auto`: float32 on a CPU, where half precision is slow, else the type of the model's files."""
    init_adapter: str | None = None
    """Adapter to begin with, instead of a fresh one: a run (its name, `last`, or its folder), or a
    folder in mlx-lm's form. What `[lora]` does not say is taken from it."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of data order, adapter initialisation and dropout."""
    lora: Lora = Lora()
    template: Template = Template()
    episodes: Episodes = Episodes()
    objective: Objective = Objective()
    optimizer: Optimizer = Optimizer()
    train: Training
    memory: Memory = Memory()
    evaluation: Evaluation = Evaluation()
    study: Study | None = None
    tasks: Annotated[tuple[TaskSource, ...], Field(min_length=1)]
    """Data sets, as `[[tasks]]` tables."""

    @property
    def longest_prompt(self) -> int:
        """Return the most tokens that an evaluation asks with."""
        return self.evaluation.max_tokens or self.episodes.max_tokens

    @field_validator("init_adapter")
    @classmethod
    def _fresh(cls, name: str | None) -> str | None:
        return name or None  # `--set init_adapter=` takes it back

    @model_validator(mode="after")
    def _fixed_answers_are_no_targets(self) -> Self:
        if self.episodes.fixed_shots and self.objective.targets != "last":
            words = "their answers, always the same, would be learned by heart"
            raise ValueError(f'`episodes.fixed_shots` needs `objective.targets = "last"`: {words}')
        if self.episodes.fixed_shots and any(task.label_subset for task in self.tasks):
            raise ValueError("`episodes.fixed_shots` comes instead of `label_subset`: give one")
        return self

    @model_validator(mode="after")
    def _importance_is_of_fresh_lora(self) -> Self:
        if self.optimizer.importance and self.lora.fine_tune_type != "lora":
            raise ValueError(
                f"`optimizer.importance` is of lora, not of {self.lora.fine_tune_type}"
            )
        if self.optimizer.importance and self.init_adapter:
            words = "it would draw that adapter back to the base"
            raise ValueError(f"`optimizer.importance` goes without `init_adapter`: {words}")
        return self

    @model_validator(mode="after")
    def _labels_come_first(self) -> Self:
        named = {
            "episodes.rename_labels": self.episodes.rename_labels,
            "evaluation.choose": self.evaluation.choose,
            "objective.rejected": self.objective.rejected,
            "objective.unlikelihood or objective.choice": self.objective.contrasts,
        }
        if self.template.channel and (given := [name for name, on in named.items() if on]):
            raise ValueError(f"`template.channel` goes without {' and '.join(given)}")
        return self

    @model_validator(mode="after")
    def _teachers_are_alone(self) -> Self:
        asked = self.objective
        bent = asked.reweight or asked.rejected or asked.contrasts or asked.targets == "tokens"
        if bent and any(task.teacher for task in self.tasks):
            keys = 'reweight, rejected, unlikelihood, choice or targets = "tokens"'
            raise ValueError(f"`teacher` of a task goes without objective.{keys}")
        return self

    @model_validator(mode="after")
    def _nothing_is_read_beside_packed_rows(self) -> Self:
        asked = self.objective
        if self.train.packed and (
            asked.zero_shot or asked.reweight or asked.rejected or asked.contrasts
        ):
            keys = "zero_shot, reweight, rejected, unlikelihood or choice"
            raise ValueError(f"`train.packed` goes without objective.{keys}")
        return self

    @model_validator(mode="after")
    def _rows_have_what_is_learned(self) -> Self:
        for key, column in (("rejected", "rejected"), ("smoothing", "doubt")):
            trained = [task for task in self.tasks if task.role == "train"]
            if getattr(self.objective, key) and not any(getattr(one, column) for one in trained):
                raise ValueError(f"`objective.{key}` needs a training task with `{column}`")
        return self

    @model_validator(mode="after")
    def _some_task_trains(self) -> Self:
        if all(task.role == "held_out" for task in self.tasks):
            raise ValueError('no task has `role = "train"`')
        return self
