"""The recipe of DrICL in the docs, on made tasks in the form of ICL-50."""

import json
import re
import tomllib
from pathlib import Path

from tests.places import ROOT
from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.models.base import load_tokenizer, model_path
from yofo_mlx.planning.workload import make_workload
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.tasks.registry import load_tasks

ANSWERS = {  # one of each family: classification, multilabel, nli, qa, math, summary, extraction
    "label": lambda n: "red blue".split()[n % 2],
    "labels": lambda n: ["red", "blue"][: n % 2 + 1],
    "entailment": lambda n: ["entailment", "neutral"][n % 2],
    "answer": lambda n: f"in the old house {n}",
    "sum": lambda n: f"#### {n + 1}",
    "summary": lambda n: f"the river is deep {n}",
    "fields": lambda n: json.dumps({"who": f"Tom {n}"}),
}


def test_fifty_tasks_are_drawn_with_one_to_350_shots_below_8192_tokens(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/methods.md").read_text(), re.DOTALL)
    (block,) = (one for one in blocks if "icl-50" in one)
    (tmp_path / "icl-50").mkdir()
    for task in range(50):
        answer = [*ANSWERS.values()][task % len(ANSWERS)]
        rows = [
            {"input": f"{n} of {task}", "output": answer(n)} for n in range(400 if task == 0 else 9)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "icl-50" / f"task-{task:02}.jsonl").write_text(text)
    data = tomllib.loads(block)
    recipe = resolve(data, "drical", tmp_path, ["model=tiny", "template.style=plain"])
    assert round(1 - 2 * recipe.objective.zero_shot, 9) == 0.2 and recipe.objective.reweight == 11
    assert (recipe.objective.targets, recipe.objective.normalize) == ("all", "answer")
    entries = load_tasks(recipe.tasks, 0, tmp_path)
    assert len(entries) == 50 and len({one.task.family for one in entries}) >= 6
    tokenizer = load_tokenizer(model_path("tiny"), {})
    sampler = make_workload(recipe, entries, tokenizer).sampler
    seen = [one for step in range(40) for one in sampler.draw(step, 0, 8)]
    assert all(1 <= one.shots <= 350 and len(one.tokens) <= 8192 for one in seen)
    assert len({one.task for one in seen}) > 40 and max(one.shots for one in seen) > 100
    twins = next(draw_passes(sampler, recipe.train, 0))[0].beside
    assert twins and {one.kind for one in twins} == {"zero_shot"}
