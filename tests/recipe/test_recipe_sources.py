"""The shipped recipes read their data sets, shown small and in the layout of their cards."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub_server import HubServer, hub_fixture  # noqa: F401
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import paths
from yofo_mlx.tasks.registry import TaskEntry, load_tasks

NLI = ["entailment", "neutral", "contradiction"]
TOPICS = ["Company", "Artist", "Village"]
CLAUSES = ["Limitation of liability", "Jurisdiction", "Arbitration"]


def parquet(rows: list[dict[str, Any]], **names: list[str]) -> bytes:
    """Return a Parquet file with the label names of columns in its schema."""
    features = {
        column: {"names": some, "_type": "ClassLabel"}
        if column != "labels"
        else {"feature": {"names": some, "_type": "ClassLabel"}, "_type": "Sequence"}
        for column, some in names.items()
    }
    table = pa.Table.from_pylist(rows)
    head = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(head), sink)
    return sink.getvalue()


def card(configs: dict[str, list[str]], folder: str = "{config}") -> bytes:
    """Return a README.md that names the files of each configuration."""
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in splits:
            place = f"{folder.format(config=config)}/{split}-*"
            lines += [f"  - split: {split}", f"    path: {place}"]
    return "\n".join([*lines, "---", ""]).encode()


def shards(
    config: str, folder: str, rows: dict[str, list[dict[str, Any]]], **names: list[str]
) -> dict[str, bytes]:
    """Return card and Parquet files of a data set with one configuration."""
    files = {"README.md": card({config: list(rows)}, folder)}
    for split, some in rows.items():
        files[f"{folder}/{split}-00000-of-00001.parquet"] = parquet(some, **names)
    return files


def spread(splits: list[str], row: Any, count: int = 20) -> dict[str, list[dict[str, Any]]]:
    """Return rows for each split, no two of them alike."""
    return {split: [row(f"{split} {n}", n) for n in range(count)] for split in splits}


def publish(hub: HubServer) -> None:
    """Put small data sets of the recipes' shapes on the hub."""
    three = ["train", "validation", "test"]
    lex = shards(
        "ledgar",
        "ledgar",
        spread(three, lambda t, n: {"text": t, "label": n % 2}),
        label=["Taxes", "Terms"],
    )
    tos = spread(three, lambda t, n: {"text": t, "labels": [n % 3, 1] if n % 2 else []})
    lex |= {
        f"unfair_tos/{split}-00000-of-00001.parquet": parquet(rows, labels=CLAUSES)
        for split, rows in tos.items()
    }
    lex["README.md"] = card({"ledgar": three, "unfair_tos": three})
    emotions = spread(three, lambda t, n: {"text": t, "labels": [n % 3], "id": t})
    go = shards("simplified", "simplified", emotions, labels=["joy", "anger", "fear"])
    go["README.md"] = card({"raw": ["train"], "simplified": three})
    intents = spread(three, lambda t, n: {"text": t, "intent": n % 2})
    clinc = shards("plus", "plus", intents, intent=["translate", "transfer"])
    clinc["README.md"] = card({"imbalanced": three, "plus": three, "small": three})
    news = spread(three, lambda t, n: {"article": t, "highlights": f"sum {n}", "id": t})
    cnn = shards("3.0.0", "3.0.0", news)
    cnn["README.md"] = card({"1.0.0": three, "2.0.0": three, "3.0.0": three})
    math = spread(["train", "test"], lambda t, n: {"question": t, "answer": f"so\n#### {n}"})
    gsm = shards("main", "main", math)
    gsm["README.md"] = card({"main": ["train", "test"], "socratic": ["train", "test"]})
    pair = {"premise": "p", "hypothesis": "h"}
    mood = {split: [(f"{split} {n}", n % 3) for n in range(20)] for split in ("train", "valid")}
    bank = spread(
        ["train", "test"], lambda t, n: {"text": t, "label": n % 2, "label_text": f"l{n % 2}"}
    )
    sets: dict[str, dict[str, bytes]] = {
        "clinc/clinc_oos": clinc,
        "fancyzhx/dbpedia_14": shards(
            "dbpedia_14",
            "dbpedia_14",
            spread(["train", "test"], lambda t, n: {"label": n % 3, "title": t, "content": "c"}),
            label=TOPICS,
        ),
        "coastalcph/lex_glue": lex,
        "zeroshot/twitter-financial-news-sentiment": {
            f"sent_{split}.csv": "".join(
                f"{one},{other}\n" for one, other in [("text", "label"), *rows]
            ).encode()
            for split, rows in mood.items()
        },
        "google-research-datasets/go_emotions": go,
        "abisee/cnn_dailymail": cnn,
        "rajpurkar/squad": shards(
            "plain_text",
            "plain_text",
            spread(
                three[:2],
                lambda t, n: {
                    "context": t,
                    "question": "who?",
                    "answers": {"text": [f"a{n}", "b"], "answer_start": [1, 2]},
                },
            ),
        ),
        "nyu-mll/multi_nli": shards(
            "default",
            "data",
            spread(
                ["train", "validation_matched", "validation_mismatched"],
                lambda t, n: {**pair, "premise": t, "label": n % 3},
            ),
            label=NLI,
        ),
        "openai/gsm8k": gsm,
        "mteb/banking77": {
            f"{split}.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()
            for split, rows in bank.items()
        },
        "FiscalNote/billsum": shards(
            "default",
            "data",
            spread(
                ["train", "test", "ca_test"],
                lambda t, n: {"text": t, "summary": f"s{n}", "title": "A bill"},
            ),
        ),
        "google/boolq": shards(
            "default",
            "data",
            spread(
                three[:2], lambda t, n: {"question": "is it", "answer": n % 2 == 0, "passage": t}
            ),
        ),
        "stanfordnlp/snli": shards(
            "plain_text",
            "plain_text",
            spread(three, lambda t, n: {**pair, "premise": t, "label": n % 4 - 1}),
            label=NLI,
        ),
        "ChilleD/SVAMP": shards(
            "default",
            "data",
            spread(
                ["train", "test"],
                lambda t, n: {"ID": t, "Body": t, "Question": "how many?", "Answer": str(n)},
            ),
        ),
    }
    for id, files in sets.items():
        hub.add("dataset", id, files)


@pytest.mark.long
def test_a_shipped_recipe_reads_all_its_data_sets(hub: HubServer, tmp_path: Path) -> None:
    publish(hub)
    recipe = load_recipe(paths.shipped_recipes() / "mistral.toml")
    entries = load_tasks(recipe.tasks, recipe.seed, tmp_path)
    tasks = {entry.task.name: entry for entry in entries}
    assert len(tasks) == 15

    def answers(name: str) -> set[str]:
        entry: TaskEntry = tasks[name]
        return {example.output for example in entry.task.train + entry.task.test}

    assert answers("intents") == {"translate", "transfer"}
    assert answers("encyclopedia") == set(TOPICS)
    assert answers("market mood") == {"bearish", "bullish", "neutral"}
    assert answers("emotions") == {"joy", "anger", "fear"}
    assert answers("inference") == answers("captions inference") == set(NLI)
    assert answers("unfair terms") >= {"Jurisdiction, Jurisdiction"}
    assert answers("yes or no") == {"yes", "no"}
    assert answers("banking") == {"l0", "l1"}
    assert tasks["reading"].task.train[0].output.startswith("a")
    assert tasks["word problems"].answer_after == "####"
    held_out = [entry for entry in entries if entry.role == "held_out"]
    assert {entry.task.family for entry in held_out} == {
        entry.task.family for entry in entries if entry.role == "train"
    }


@pytest.mark.parametrize("name", ["llama3", "gemma"])
def test_the_recipes_differ_in_the_model_and_not_in_the_data(name: str) -> None:
    folder = paths.shipped_recipes()
    recipe, other = load_recipe(folder / f"{name}.toml"), load_recipe(folder / "mistral.toml")
    assert recipe.tasks == other.tasks and recipe.model != other.model
