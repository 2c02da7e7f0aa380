"""Every shipped recipe runs to its end: on a small model of its own architecture and on small data
sets of the same names, configurations, splits and columns, both from a hub."""

import io
import json
import tomllib
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlx.utils import tree_flatten
from mlx_lm.utils import _get_classes
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tests.architectures.parts import GEMMA3, SHAPE
from tests.hub_server import HubServer, files_of, hub_fixture  # noqa: F401
from tests.places import ROOT
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import paths
from yofo_mlx.tasks.registry import load_tasks

ROWS = 24
WORDS = "river stone cloud green seven letter window paper garden winter".split()
PROVISIONS = ["Notices", "Payments", "Terms"]
EMOTIONS = ["joy", "anger", "fear", "love"]
NLI = ["entailment", "neutral", "contradiction"]


def words(number: int, count: int = 4) -> str:
    return " ".join([f"{number}", *(WORDS[(number + 3 * place) % 10] for place in range(count))])


def premise(number: int, none: int = -1) -> dict[str, Any]:
    """Return a pair of sentences; now and then, annotators disagreed."""
    label = none if number % 8 == 7 else number % 3
    return {"premise": words(number), "hypothesis": words(number + 1), "label": label, "genre": "x"}


def answer(number: int) -> dict[str, Any]:
    text = words(number, 6)
    answers = {"text": [text.split()[1]], "answer_start": [text.index(" ") + 1]}
    return {"id": str(number), "context": text, "question": "What is second?", "answers": answers}


# id, configuration: its splits, the row of a number, the names of its labels
SETS: dict[tuple[str, str | None], tuple[str, Any, dict[str, list[str]]]] = {
    ("clinc/clinc_oos", "plus"): (
        "train validation test",
        lambda n: {"text": words(n), "intent": n % 3},
        {"intent": ["oos", "transfer", "translate"]},
    ),
    ("fancyzhx/dbpedia_14", None): (
        "train test",
        lambda n: {"label": n % 3, "title": words(n, 2), "content": words(n)},
        {"label": ["Company", "Artist", "Village"]},
    ),
    ("coastalcph/lex_glue", "ledgar"): (
        "train validation test",
        lambda n: {"text": words(n), "label": n % 3},
        {"label": PROVISIONS},
    ),
    ("zeroshot/twitter-financial-news-sentiment", None): (
        "train validation",
        lambda n: {"text": words(n), "label": n % 3},
        {},
    ),
    ("google-research-datasets/go_emotions", "simplified"): (
        "train validation test",
        lambda n: {"text": words(n), "labels": sorted({n % 4, n % 3}), "id": str(n)},
        {"labels": EMOTIONS},
    ),
    ("abisee/cnn_dailymail", "3.0.0"): (
        "train validation test",
        lambda n: {"article": words(n, 9), "highlights": words(n, 3), "id": str(n)},
        {},
    ),
    ("rajpurkar/squad", None): ("train validation", answer, {}),
    ("nyu-mll/multi_nli", None): (
        "train validation_matched validation_mismatched",
        premise,
        {"label": NLI},
    ),
    ("openai/gsm8k", "main"): (
        "train test",
        lambda n: {"question": f"{n} + {n}?", "answer": f"Twice {n}.\n#### {2 * n}"},
        {},
    ),
    ("mteb/banking77", None): (
        "train test",
        lambda n: {"text": words(n), "label": n % 3, "label_text": WORDS[n % 3]},
        {},
    ),
    ("coastalcph/lex_glue", "unfair_tos"): (
        "train validation test",
        lambda n: {"text": words(n), "labels": [n % 4] if n % 2 else []},
        {"labels": ["Arbitration", "Law", "Jurisdiction", "Content removal"]},
    ),
    ("FiscalNote/billsum", None): (
        "train test ca_test",
        lambda n: {"text": words(n, 9), "summary": words(n, 3), "title": words(n, 2)},
        {},
    ),
    ("google/boolq", None): (
        "train validation",
        lambda n: {"question": words(n, 3), "answer": n % 2 == 0, "passage": words(n, 8)},
        {},
    ),
    ("stanfordnlp/snli", None): ("train validation test", premise, {"label": NLI}),
    ("ChilleD/SVAMP", None): (
        "train test",
        lambda n: (
            {"Body": f"There are {n} stones.", "Question": "And one more?"}
            | {"Answer": str(n + 1), "Type": "Addition"}
        ),
        {},
    ),
}


def parquet(rows: list[dict[str, Any]], names: dict[str, list[str]]) -> bytes:
    """Return a Parquet file; label names stand where the hub's writer leaves them."""
    features: dict[str, Any] = {}
    for column, some in names.items():
        label = {"names": some, "_type": "ClassLabel"}
        many = isinstance(rows[0][column], list)
        features[column] = {"feature": label, "_type": "List"} if many else label
    head = json.dumps({"info": {"features": features}}).encode()
    table = pa.Table.from_pylist(rows).replace_schema_metadata({b"huggingface": head})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def publish_data(hub: HubServer) -> None:
    """Put all data sets on the hub; no row is in two splits."""
    repos: dict[str, dict[str, bytes]] = {}
    cards: dict[str, list[str]] = {}
    for (id, config), (splits, row, names) in SETS.items():
        folder = config or "data"
        files = repos.setdefault(id, {})
        listed = [f"- config_name: {config or 'default'}", "  data_files:"]
        for place, split in enumerate(splits.split()):
            start = place * ROWS
            data = parquet([row(n) for n in range(start, start + ROWS)], names)
            files[f"{folder}/{split}-00000-of-00001.parquet"] = data
            listed += [f"  - split: {split}", f"    path: {folder}/{split}-*"]
        cards.setdefault(id, []).extend(listed)
    for id, files in repos.items():
        card = "\n".join(["---", "configs:", *cards[id], "---", ""])
        hub.add("dataset", id, files | {"README.md": card.encode()})


TURN = "{% if m['role'] == 'assistant' %}"
LLAMA3 = {
    "special": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "template": "{{ '<|begin_of_text|>' }}{% for m in messages %}{{ '<|start_header_id|>'"
    " + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    "config": {"model_type": "llama"},
}
MISTRAL = {
    "special": ["<s>", "</s>", "[INST]", "[/INST]"],
    "template": "{{ '<s>' }}{% for m in messages %}" + TURN + "{{ ' ' + m['content'] + '</s>' }}"
    "{% else %}{{ '[INST] ' + m['content'] + '[/INST]' }}{% endif %}{% endfor %}",
    "config": {"model_type": "mistral", "sliding_window": None},
}
GEMMA = {
    "special": ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
    "template": "{{ '<bos>' }}{% for m in messages %}{{ '<start_of_turn>' }}" + TURN + "model"
    "{% else %}user{% endif %}{{ '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
    "config": GEMMA3 | {"model_type": "gemma3_text", "query_pre_attn_scalar": 8},
}
FAMILIES: dict[str, dict[str, Any]] = {"llama3": LLAMA3, "mistral": MISTRAL, "gemma": GEMMA}


def write_model(folder: Path, family: dict[str, Any]) -> None:
    """Write a random model of 4 bits with a byte-level tokenizer and the family's template."""
    folder.mkdir()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*family["special"], *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in family["special"]])
    tokenizer.save(str(folder / "tokenizer.json"))
    first, end = family["special"][0], family["special"][1 if "</s>" in family["special"] else -1]
    names = {"bos_token": first, "eos_token": end, "chat_template": family["template"]}
    names |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    config = SHAPE | {"vocab_size": len(vocabulary), "max_position_embeddings": 4096}
    config |= {"intermediate_size": 64}
    config |= family["config"] | {"eos_token_id": vocabulary[end]}
    config |= {"quantization": {"group_size": 32, "bits": 4}}
    model_class, arguments = _get_classes(config)
    mx.random.seed(0)
    model = model_class(arguments.from_dict(config))
    nn.quantize(model, group_size=32, bits=4)
    mx.save_safetensors(
        str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}
    )
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(names))


SMALL = {
    "episodes.max_tokens": 700,
    "train.tokens": 2000,
    "train.eval_every": 2,
    "evaluation.shots": [0, 2],
    "evaluation.queries": 2,
    "evaluation.max_answer_tokens": 4,
}


@pytest.mark.parametrize(
    "path",
    [
        # The gate does with one that needs a hub: the README's commands train what needs nothing.
        pytest.param(
            path,
            marks=() if path.stem == "mistral" else pytest.mark.long,
            id=path.stem,
        )
        for path in shipped_recipes()
    ],
)
def test_a_shipped_recipe_trains_and_is_evaluated_to_its_end(
    hub: HubServer, tmp_path: Path, yofo: Any, path: Path
) -> None:
    recipe = load_recipe(path)
    if recipe.model != "tiny":
        publish_data(hub)
        write_model(tmp_path / "model", FAMILIES[path.stem])
        hub.add("model", recipe.model, files_of(tmp_path / "model"))
    keys = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    code, _, err = yofo("train", path, "--name", path.stem, *keys)
    assert code == 0, err
    assert "finished after" in err
    code, out, err = yofo("eval", "last", *keys[-6:])
    assert code == 0, err
    assert "on held-out tasks, in percent" in out and "cannot be measured" not in out
    if recipe.model != "tiny":
        assert all(task.name in out for task in recipe.tasks if task.role == "held_out")


def test_a_shipped_recipe_reads_its_data_sets_as_they_are_meant(
    hub: HubServer, tmp_path: Path
) -> None:
    publish_data(hub)
    recipe = load_recipe(paths.shipped_recipes() / "mistral.toml")
    entries = {entry.task.name: entry for entry in load_tasks(recipe.tasks, recipe.seed, tmp_path)}
    assert len(entries) == len(recipe.tasks) == 15

    def answers(name: str) -> set[str]:
        task = entries[name].task
        return {example.output for example in (*task.train, *task.test)}

    assert answers("intents") == {"oos", "transfer", "translate"}
    assert answers("encyclopedia") == {"Company", "Artist", "Village"}
    assert answers("market mood") == {"bearish", "bullish", "neutral"}
    assert {"joy", "joy, anger", "fear, love"} <= answers("emotions")
    assert answers("inference") == answers("captions inference") == set(NLI)
    assert answers("unfair terms") == {"Law", "Content removal"}
    assert answers("yes or no") == {"yes", "no"}
    assert answers("banking") == set(WORDS[:3])
    assert answers("reading") <= set(WORDS)
    assert entries["word problems"].answer_after == "####"
    held_out = {one.task.family for one in entries.values() if one.role == "held_out"}
    assert held_out == {one.task.family for one in entries.values() if one.role == "train"}


@pytest.mark.parametrize("name", ["llama3", "gemma"])
def test_the_recipes_differ_in_the_model_and_not_in_the_data(name: str) -> None:
    folder = paths.shipped_recipes()
    recipe, other = load_recipe(folder / f"{name}.toml"), load_recipe(folder / "mistral.toml")
    assert recipe.tasks == other.tasks and recipe.model != other.model


def test_a_wheel_takes_every_shipped_recipe_and_no_other() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    taken = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    recipes = [f"recipes/{path.name}" for path in shipped_recipes()]
    assert sorted(taken) == sorted([*recipes, "recipes/data", "tui"])
    assert all(taken[name] == f"yofo_mlx/recipe/shipped/{name[8:]}" for name in recipes)


def test_a_recipe_that_needs_a_clone_is_used_by_its_path_alone(yofo: Any, tmp_path: Path) -> None:
    path = ROOT / "recipes" / "smollm2.toml"
    assert path.is_file() and path not in shipped_recipes()
    for words in (("recipes", "copy", "smollm2", tmp_path), ("recipes", "check", "smollm2")):
        code, _, err = yofo(*words)
        assert code == 2 and f"did you mean {path}?" in err
    code, out, _ = yofo("recipes", "check", path)
    assert code == 0 and f'model = "{ROOT}/out/smollm2"' in out
    assert not list(tmp_path.iterdir())
