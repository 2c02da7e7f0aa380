"""What every test starts from: no network, nothing kept, nothing of the user's touched."""

import gc
import os
from pathlib import Path
from typing import Any

# Before anything imports MLX, numpy or huggingface_hub: they look at these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TEXTUAL_ANIMATIONS"] = "none"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the workers share the cores already

import pytest
from hypothesis import Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.draws import USUAL
from tests.places import ROOT
from yofo_mlx import cli
from yofo_mlx.system import blas, progress

blas.preload()

LONGEST = (  # 20 seconds and more on two cores
    "test_chunked_architectures.py", "test_docs.py", "test_chunked.py", "test_train.py",
    "test_prompt_keys.py", "test_app.py", "test_eval_data.py", "test_plan.py",
    "test_cases_forecast.py", "test_data.py", "test_side_by_side.py", "test_prompt.py",
    "test_extension.py", "test_fuzz_text.py", "test_watch.py", "test_recovery.py",
    "test_ranking.py", "test_kept.py", "test_disk.py", "test_runs.py", "test_fuzz_folders.py",
    "test_eval.py", "test_demonstrations.py", "test_imports.py", "test_shared_data.py",
    "test_saving.py", "test_session_process.py", "test_paste.py", "test_new.py",
    "test_evaluate.py", "test_cases_markers.py", "test_recipes_new.py", "test_choosing_ways.py",
)  # fmt: skip

# `make test` tries the same few inputs everywhere; `make random` many fresh ones, and keeps what it
# finds; a mutant is killed by any failing input. A first call may load for seconds: none is timed.
FINDINGS = DirectoryBasedExampleDatabase(ROOT / "findings" / "examples")
fixed = settings(deadline=None, derandomize=True, print_blob=True, max_examples=USUAL)
settings.register_profile("fixed", fixed, max_examples=USUAL // 4)
settings.register_profile("mutants", fixed, phases=[Phase.explicit, Phase.generate])
settings.register_profile(
    "random", deadline=None, print_blob=True, max_examples=USUAL, database=FINDINGS
)


def pytest_configure(config: pytest.Config) -> None:
    """Choose how inputs are drawn, whatever the environment: `--hypothesis-profile` or fixed."""
    settings.load_profile(config.getoption("--hypothesis-profile") or "fixed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that none is left to run alone at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Leave what collecting has made out of every later search for garbage: a third of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def yofo_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home folder of its own."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("YOFO_HOME", str(home))
    monkeypatch.setattr(progress, "LINE_EVERY_S", float("inf"))  # however slow the machine is
    for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):  # they make output coloured
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def yofo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command line in this process: (exit code, stdout, stderr)."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["yofo", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call
