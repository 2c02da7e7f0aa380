"""Uploads, by the hub's own client against a hub on the loopback interface."""

from pathlib import Path
from typing import Any

import pytest

from tests.export.adapters import random_adapter
from tests.hub_server import HubServer, files_of, hub_fixture  # noqa: F401


@pytest.fixture(autouse=True)
def as_lfs(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the stand-in has none
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


def test_what_is_exported_is_uploaded_with_its_card(
    yofo: Any, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    here = ("export", "--adapter", adapter)
    code, _, err = yofo(*here, "--to", "hub", "--repo", "owner/mine")
    assert code == 1 and "without a token" in err and "hf auth login" in err
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.token = "another"
    code, _, err = yofo(*here, "--to", "hub", "--repo", "owner/mine")
    assert (
        code == 2
        and "does not accept your token" in err
        and not (tmp_path / "adapter-fused").exists()
    )
    assert not hub.created  # nothing is made before the token is known to do
    hub.token = "secret"
    code, _, err = yofo(*here, "--to", "hub", "--repo", "owner/mine")
    assert code == 0 and hub.created == {"owner/mine": "private"}, err
    files = hub.repos["models/owner/mine"].revisions["main"]
    assert files == files_of(tmp_path / "adapter-fused")
    assert {"README.md", "model.safetensors", "config.json", "tokenizer.json"} <= files.keys()
    code, _, err = yofo(*here, "--to", "peft", "--repo", "owner/peft", "--public")
    assert code == 0 and hub.created["owner/peft"] == "public", err
    assert "adapter_model.safetensors" in hub.repos["models/owner/peft"].revisions["main"]
    hub.ailment = "no upload"
    code, _, err = yofo(*here, "--to", "gguf-adapter", "--repo", "owner/no", "--out", "kept")
    assert code == 1 and "hf upload owner/no" in err and (tmp_path / "kept/adapter.gguf").is_file()
    assert "secret" not in err


@pytest.mark.parametrize("name", ["mine", "a/b/c", "../x", "a/..", "a b/c", "a/" + "x" * 99])
def test_what_is_no_name_on_the_hub_is_refused(yofo: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "adapters.safetensors").touch()
    (tmp_path / "adapter_config.json").write_text('{"model": "tiny"}')
    code, _, err = yofo("export", "--adapter", tmp_path, "--to", "hub", f"--repo={name}")
    assert code == 2 and "is no name on the hub" in err and len(err.splitlines()) == 2
