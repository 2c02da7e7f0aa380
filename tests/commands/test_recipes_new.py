"""`yofo recipes new`: a recipe that reads what the preview showed, as a person would write it."""

import json
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from tests.places import DATA
from yofo_mlx.commands import data_request, draft, recipes
from yofo_mlx.commands import settings as chosen
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.errors import DataError, ExitCode, RecipeError
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.row_forms import SHAPES
from yofo_mlx.tasks.sources import LoadedSource, load
from yofo_mlx.tasks.task import Example

REAL = [
    ["banking77"],
    ["bbh", "summarization", "sentiment"],
    ["clinc150/data_full.json"],
    ["nli/multinli_train_2000.json", "nli/multinli_test_500.json", "questions"],
]
ROWS = "text,category\n" + "".join(f"word {n},{'ab'[n % 2]}\n" for n in range(30))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examples(sets: Sequence[LoadedSource]) -> list[Any]:
    """Return name, family, instruction, examples by split of each data set, in order of names."""
    return sorted(
        (
            loaded.name,
            loaded.family,
            loaded.instruction,
            [(split, [item.example for item in loaded.items[split]]) for split in loaded.items],
        )
        for loaded in sets
    )


def shown(*paths: str | Path, **keys: Any) -> list[Any]:
    groups = data_request.read(DataRequest([str(path) for path in paths], **keys))
    return examples([loaded for group in groups for loaded in group.sets])


def read_back(recipe: Path) -> list[Any]:
    tasks = load_recipe(recipe).tasks
    return examples([loaded for task in tasks for loaded in load(task, Path("/nowhere"))])


def new(*paths: str | Path, out: str = "mine.toml", **keys: Any) -> dict[str, Any]:
    """Write a recipe and return what is in it."""
    options = {name: keys.pop(name) for name in ("held_out", "model", "steps") if name in keys}
    request = DataRequest([str(path) for path in paths], **keys)
    assert recipes.new(request, out=Path(out), **options) == ExitCode.OK
    return tomllib.loads(Path(out).read_text("utf-8"))


@pytest.mark.skipif(not DATA.is_dir(), reason="no real data beside this checkout (../shared/data)")
@pytest.mark.parametrize("paths", REAL, ids=lambda paths: " ".join(paths))
def test_the_recipe_of_real_data_reads_what_the_preview_showed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str]
) -> None:
    monkeypatch.chdir(DATA)
    new(*paths, out=str(tmp_path / "mine.toml"))
    assert read_back(tmp_path / "mine.toml") == shown(*paths)


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
VALUE = TEXT | st.sampled_from(["a", "b", "12", "3 #### 4", "entailment", "neutral", "-", "{x}"])
LISTS = st.lists(VALUE, max_size=3)
SHAPE = st.sampled_from([sorted(shape.fields) for shape in SHAPES])


@st.composite
def rows(draw: st.DrawFn) -> list[Any]:
    """Return rows of one of the known forms, good ones and bad."""
    fields = draw(SHAPE)
    answers = draw(st.sampled_from([VALUE, VALUE | LISTS, LISTS]))
    if fields == ["0", "1"]:
        return draw(st.lists(st.tuples(VALUE, answers).map(list), max_size=9))
    row = st.fixed_dictionaries(
        dict.fromkeys(fields[:-1], VALUE) | {fields[-1]: answers},
        optional={"system": st.sampled_from(["Be kind.", "Be brief."]), "other": VALUE},
    )
    return draw(st.lists(row, max_size=9))


@draws(60)
@given(rows(), st.booleans(), st.sampled_from(["x.jsonl", "some/a b.jsonl", "é/train.jsonl"]))
def test_the_recipe_of_any_rows_reads_what_the_preview_showed_or_is_not_written(
    tmp_path_factory: pytest.TempPathFactory, made: list[Any], more: bool, name: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in made))
    (folder / "other.csv").write_text(ROWS)
    paths = [folder / name, *([folder / "other.csv"] if more else [])]
    try:
        new(*paths, out=str(folder / "mine.toml"))
    except DataError:
        assert not (folder / "mine.toml").exists()
    else:
        assert read_back(folder / "mine.toml") == shown(*paths)


def test_what_yofo_finds_by_itself_is_left_out(here: Path) -> None:
    (here / "intents.csv").write_text(ROWS)
    made = new("intents.csv")
    assert made["tasks"] == [{"source": "intents.csv"}]
    text = Path("mine.toml").read_text()
    assert "# 30 train; text -> category; classification, 2 labels\n[[tasks]]" in text
    assert "#   yofo eval last --data NEW-TASK.csv" in text
    assert len(text.splitlines()) < 25


def test_what_was_given_by_hand_is_in_the_recipe(here: Path) -> None:
    (here / "a.csv").write_text(ROWS.replace("text,category", "ticket,team"))
    keys = {"input": "Ticket: {ticket}", "output": "team", "overrides": ["where.team.not_in=c"]}
    made = new("a.csv", **keys, steps=7)
    assert made["tasks"] == [
        {
            "source": "a.csv",
            "input": "Ticket: {ticket}",
            "output": "team",
            "where": {"team": {"not_in": "c"}},
        }
    ]
    assert made["train"]["steps"] == 7
    assert read_back(here / "mine.toml") == shown("a.csv", **keys)


def test_a_family_is_named_where_exact_match_would_be_the_wrong_metric(here: Path) -> None:
    sums = [{"question": f"{n} and {n}?", "answer": f"so\n#### {2 * n}"} for n in range(9)]
    (here / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sums))
    [task] = new("sums.jsonl")["tasks"]
    assert task == {"source": "sums.jsonl", "family": "math", "answer_after": "####"}


def test_rows_that_cannot_be_used_are_dropped_and_told(here: Path, capsys: Any) -> None:
    (here / "a.csv").write_text(ROWS + ",a\n")
    [task] = new("a.csv")["tasks"]
    assert task["bad_rows"] == "drop" and "a.csv:32: `text` is empty" in capsys.readouterr().err
    assert "1 row, such as a.csv:32: `text` is empty" in Path("mine.toml").read_text()
    assert load_tasks(load_recipe(here / "mine.toml").tasks, 0, here)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no examples"),
        ("it's,team\na,b\n", """such as --input 'it'"'"'s' and --output team"""),
        (ROWS + 40 * ",a\n", "`yofo data check` with the same words names all of them"),
        (ROWS + 'x,"a\n', "never ends"),
    ],
)
def test_data_that_cannot_be_read_write_nothing(
    here: Path, yofo: Any, content: str, told: str
) -> None:
    (here / "a.csv").write_text(content)
    code, out, err = yofo("recipes", "new", "a.csv")
    assert (code, out) == (3, "") and told in err
    assert [path.name for path in here.iterdir()] == ["a.csv"]


def test_fields_within_fields_are_proposed_by_their_paths(here: Path, yofo: Any) -> None:
    (here / "a.json").write_text(json.dumps([{"q": {"text": "a"}, "a": {"gold": "b"}}]))
    assert "--input q.text and --output a.gold" in yofo("recipes", "new", "a.json")[2]
    told = yofo("recipes", "new", "a.json", "--input", "q", "--output", "a.gold")[2]
    assert "name what is in it, such as `q.text`" in told
    assert yofo("recipes", "new", "a.json", "--input", "q.text", "--output", "a.gold")[0] == 0


def test_rows_that_all_leak_are_the_reason_why_nothing_is_left(here: Path, yofo: Any) -> None:
    (here / "d").mkdir()
    for split in ("train", "test"):
        (here / "d" / f"{split}.csv").write_text(ROWS)
    told = yofo("recipes", "new", "d")[2]
    assert "no examples to train on (d: 30 train rows left out, their" in told


def test_a_file_named_in_two_ways_is_named_twice(here: Path, yofo: Any) -> None:
    (here / "a.csv").write_text(ROWS)
    (here / "link.csv").symlink_to("a.csv")
    for other in ("./a.csv", "link.csv"):
        assert "is named twice" in yofo("recipes", "new", "a.csv", other)[2]


def test_of_several_data_sets_one_of_another_kind_is_held_out(here: Path, capsys: Any) -> None:
    for name in "abc":
        (here / f"{name}.csv").write_text(ROWS.replace("word", name))
    nli = [{"premise": f"p{n}", "hypothesis": "h", "label": "neutral"} for n in range(40)]
    nli += [{"premise": f"q{n}", "hypothesis": "h", "label": "entailment"} for n in range(40)]
    (here / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in nli))
    made = new("a.csv", "pairs.jsonl", "b.csv")
    assert [task["source"] for task in made["tasks"]] == ["a.csv", "b.csv", "pairs.jsonl"]
    assert made["tasks"][-1]["role"] == "held_out"
    assert "the only one of its family (nli)" in capsys.readouterr().err
    assert "the only one of its family (nli)" in Path("mine.toml").read_text()
    made = new("a.csv", "b.csv", "c.csv", out="2.toml", held_out=["b", "c.csv"])
    assert [task.get("role") for task in made["tasks"]] == [None, "held_out", "held_out"]
    with pytest.raises(RecipeError, match="no data set is called 'bb'"):
        new("a.csv", "b.csv", out="3.toml", held_out=["bb"])
    with pytest.raises(RecipeError, match="nothing is left to train on"):
        new("a.csv", out="3.toml", held_out=["a"])


def test_a_file_a_task_is_a_pattern_unless_one_is_held_out(here: Path, capsys: Any) -> None:
    (here / "many").mkdir()
    for name in ("cats", "dogs", "cows"):
        (here / "many" / f"{name}.csv").write_text(ROWS.replace("word", name))
    assert new("many")["tasks"] == [{"source": "many/*.csv"}]
    assert "none of them is held out; one: --held-out cats" in capsys.readouterr().err
    assert (
        draft.file_name(draft.entries(list(data_request.read(DataRequest(["many"]))), ()))
        == "many.toml"
    )
    with pytest.raises(RecipeError, match="'dgos'") as caught:
        new("many", out="2.toml", held_out=["dgos"])
    assert "did you mean dogs?" in caught.value.hint
    new("many", out="3.toml", held_out=["many/dogs.csv"])
    made = new("many", out="2.toml", held_out=["dogs"])
    assert made == tomllib.loads(Path("3.toml").read_text())
    sources = {task["source"]: task.get("role") for task in made["tasks"]}
    assert sources == {"many/cats.csv": None, "many/cows.csv": None, "many/dogs.csv": "held_out"}


def test_a_label_that_says_nothing_is_told_with_the_key_that_leaves_it_out(here: Path) -> None:
    (here / "a.csv").write_text(ROWS + "word x,-\n")
    new("a.csv")
    line = next(line for line in Path("mine.toml").read_text().splitlines() if "where" in line)
    keys = [line.partition("without: ")[2]]
    assert keys == ['where = {category = {not_in = ["-"]}}']
    where = tomllib.loads(keys[0])["where"]
    assert load_tasks([TaskSource(source="a.csv", where=where)], 0, here)[0].task.labels == (
        "a",
        "b",
    )


def test_files_of_one_data_set_are_its_splits_and_names_are_told_apart(here: Path) -> None:
    for name in ("a_train", "a_test", "b_train", "b_test"):
        (here / f"{name}.csv").write_text(ROWS.replace("word", name))
    made = new("a_train.csv", "a_test.csv", "b_train.csv", "b_test.csv")
    assert [(task["name"], task["files"]) for task in made["tasks"]] == [
        (name, {"train": f"{name}_train.csv", "test": f"{name}_test.csv"}) for name in "ba"
    ]
    for folder in "xy":
        (here / folder).mkdir()
        (here / folder / "data.csv").write_text(ROWS.replace("word", folder))
    new("x/data.csv", "y/data.csv", "x/*.csv", out="2.toml")
    tasks = load_tasks(load_recipe(here / "2.toml").tasks, 0, here)
    assert [entry.task.name for entry in tasks] == ["y/data", "x/data", "data"]


def test_a_recipe_elsewhere_finds_the_data(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (here / "sub" / "deep").mkdir(parents=True)
    (here / "a b.csv").write_text(ROWS)
    (here / "model").mkdir()
    expected = shown("a b.csv")
    made = new("a b.csv", out="sub/deep/mine.toml", model="model")
    assert made["tasks"] == [{"source": "../../a b.csv"}] and made["model"] == "../../model"
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert read_back(here / "sub" / "deep" / "mine.toml") == expected


@pytest.mark.parametrize("folder", ["many", "many [1]", "größe/ä b", "it's"])
def test_a_folder_of_tasks_is_found_whatever_its_name(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any, folder: str
) -> None:
    (here / folder).mkdir(parents=True)
    (here / "sub").mkdir()
    for name in ("cats", "dogs [1]"):
        (here / folder / f"{name}.csv").write_text(ROWS.replace("word", name))
    expected = shown(folder)
    assert [name for name, *_ in expected] == ["cats", "dogs [1]"]
    new(folder, out="sub/mine.toml")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert read_back(here / "sub" / "mine.toml") == expected


def test_nothing_is_written_over_and_another_name_is_proposed(here: Path, yofo: Any) -> None:
    (here / "my (data).csv").write_text(ROWS)
    code, out, err = yofo("recipes", "new", "my (data).csv", "--model", "tiny")
    assert (code, out) == (0, "my-data.toml\n")
    assert err.splitlines()[-1] == "next: yofo show my-data.toml"
    before = (here / "my-data.toml").read_bytes()
    code, out, err = yofo("recipes", "new", "my (data).csv")
    assert (code, out) == (2, "") and "--out my-data-2.toml" in err
    assert (here / "my-data.toml").read_bytes() == before
    code, out, err = yofo("recipes", "new", "my (data).csv", "--out", "-")
    assert code == 0 and tomllib.loads(out)["tasks"] == [{"source": "my (data).csv"}]
    code, out, err = yofo("recipes", "new", "my (data).csv", "--out", "no/such/x.toml")
    assert code == 2 and "cannot write no/such/x.toml" in err
    code, out, err = yofo("recipes", "new", "my-data.toml")
    assert code == 2 and "is a recipe already" in err and "recipes copy" not in err
    assert "yofo recipes copy tiny" in yofo("recipes", "new", "tiny")[2]


def test_a_recipe_is_a_file_of_its_own_kind(here: Path, yofo: Any) -> None:
    (here / "a.csv").write_text(ROWS)
    (here / "sub").mkdir()
    assert yofo("recipes", "new", "a.csv", "--out", "sub")[1] == "sub/a.toml\n"
    code, _, err = yofo("recipes", "new", "a.csv", "--out", "a.csv")
    assert code == 2 and "end it in .toml" in err
    code, _, err = yofo("recipes", "new", "a.csv", "a.csv")
    assert code == 2 and "a.csv is named twice" in err
    assert yofo("recipes", "new", "a.csv", "--model", "", "--out", "-")[0] == 2


def test_what_to_do_about_data_is_told_as_options_and_for_a_recipe_as_keys(
    here: Path, yofo: Any
) -> None:
    (here / "a.csv").write_text(ROWS.replace("text,category", "ticket,team"))
    for verb in (["data", "check"], ["data", "preview"], ["data", "convert"], ["recipes", "new"]):
        code, out, err = yofo(*verb, "a.csv")
        assert code == 3 and "--input ticket and --output team" in out + err
    (here / "mine.toml").write_text(
        'model = "tiny"\ntrain.steps = 1\ntasks = [{source = "a.csv"}]\n'
    )
    assert 'input = "ticket" and output = "team"' in yofo("data", "check", "mine.toml")[1]
    (here / "some").mkdir()
    for name in ("x.csv", "y.tsv"):
        (here / "some" / name).write_text(ROWS)
    hint = yofo("data", "check", "some")[1].partition("which it is: ")[2].partition("; ")[0]
    assert yofo("data", "preview", "some", *shlex.split(hint))[0] == 0


def test_settings_follow_the_shipped_recipe_of_the_model(here: Path) -> None:
    (here / "a.csv").write_text(ROWS)
    made = new("a.csv", model="tiny")
    shipped = tomllib.loads((shipped_recipes()[0].parent / "tiny.toml").read_text())
    assert made["template"] == shipped["template"]
    assert made["optimizer"]["learning_rate"] == shipped["optimizer"]["learning_rate"]
    (here / "own").mkdir()
    (here / "own" / "config.json").write_text('{"max_position_embeddings": 2048}')
    made = new("a.csv", out="2.toml", model="./own")
    assert made["episodes"] == {"max_tokens": 2048} and "template" not in made


def test_updates_are_as_large_as_those_of_the_shipped_recipe(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(size: str) -> tuple[dict[str, Any], str]:
        path = here / "shipped.toml"
        path.write_text(f"model = 'own'\ntrain = {{ {size} }}\nepisodes.max_tokens = 100\n")
        monkeypatch.setattr(chosen, "shipped_recipes", lambda: [path])
        sections, words = chosen.choose("own", [Example("x" * 39, "y")] * 1000)  # 10,000 tokens
        return sections["train"], words

    found, words = train("tokens = 9, batch_tokens = 200")
    assert found == {"steps": 150, "batch_tokens": 200, "eval_every": 37}
    assert words.startswith("about 3.0 times over 10,000 tokens")
    found, _ = train("steps = 9, batch_size = 2, grad_accumulation_steps = 3")
    assert found == {"steps": 100, "batch_size": 2, "grad_accumulation_steps": 3, "eval_every": 25}


def test_what_is_trained_is_as_in_the_shipped_recipe_but_for_labels_of_its_data(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = here / "shipped.toml"
    monkeypatch.setattr(chosen, "shipped_recipes", lambda: [path])
    for key in ("fixed_shots = 2", "label_subset = [4, 40]"):
        path.write_text(
            f"model = 'own'\ntrain.steps = 9\nobjective.targets = 'last'\nepisodes = {{ {key} }}\n"
        )
        sections, _ = chosen.choose("own", [Example("x", "y")])
        assert sections["objective"] == {"targets": "last"}
        assert sections.get("episodes", {}) == ({"fixed_shots": 2} if "fixed" in key else {})


def test_the_preview_ends_in_a_line_that_can_be_pasted(here: Path, yofo: Any) -> None:
    (here / "my data.csv").write_text(ROWS.replace("text,category", "it's,team"))
    words = ["my data.csv", "--input", "it's", "--output", "team", "--set", "where.team=a"]
    code, _, err = yofo("data", "preview", *words)
    line = err.strip().splitlines()[-1]
    assert code == 0 and line.startswith("next: yofo recipes new ")
    code, out, _ = yofo(*shlex.split(line)[2:], "--out", "-")
    assert code == 0 and tomllib.loads(out)["tasks"][0]["input"] == "it's"
    code, _, err = yofo("data", "preview", *words, "--set", "output=tem")
    again = shlex.split(err.strip().splitlines()[-1].partition(": ")[2])
    assert code == 3 and yofo(*again[1:])[0] == 3 and again[-1] == "output=tem"


def test_a_source_that_is_not_readable_as_it_is_is_read_as_it_may_be_meant(
    here: Path, yofo: Any
) -> None:
    (here / "lists").mkdir()
    lists = {"train": [["a", "x"], ["b", "y"]], "val": [["c", "x"]]}
    (here / "lists" / "all.json").write_text(json.dumps({"data": lists}))
    (here / "lists" / "about.json").write_text(json.dumps({"data": {"names": ["x"]}}))
    code, out, err = yofo("data", "preview", "lists")
    assert code == 0 and "train 2, valid 1" in out
    assert 'lists: read with records = "data.{split}"' in err
    assert new("lists")["tasks"] == [{"source": "lists", "records": "data.{split}"}]
    (here / "only").mkdir()
    (here / "only" / "test.csv").write_text(ROWS)
    assert new("only", out="2.toml")["tasks"] == [{"source": "only", "splits": {"train": "test"}}]
    assert yofo("data", "check", "only")[0] == 0


def test_a_key_is_explained_by_its_name_alone_and_a_slip_is_guessed(yofo: Any) -> None:
    assert yofo("recipes", "explain", "steps")[1].startswith("train.steps")
    assert yofo("recipes", "explain", "tasks.0.limit")[1].startswith("tasks.limit")
    both = yofo("recipes", "explain", "max_tokens")[1]
    assert "episodes.max_tokens" in both and "evaluation.max_tokens" in both
    assert "did you mean train?" in yofo("recipes", "explain", "trian")[2]
    assert "did you mean lora.rank?" in yofo("recipes", "explain", "rnak")[2]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("tasks.0.input=3", "`tasks.0.input`: must be text (it is 3)"),
        ("train.steps=x", "`train.steps`: must be a whole number (it is 'x')"),
        ("tasks=[]", "`tasks`: must have at least 1 entry, not 0"),
        ("tasks.0.family=cls", "--set: `tasks.0.family`: must be 'classification',"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_in_plain_words(yofo: Any, setting: str, words: str) -> None:
    code, _, err = yofo("recipes", "check", "tiny", "--set", setting)
    assert code == 2 and words in err and "mistakes" not in err
