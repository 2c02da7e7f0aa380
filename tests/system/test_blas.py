"""The faster BLAS is an addition: absent, damaged or refused, nothing changes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yofo_mlx.system import blas

PRODUCT = """
from yofo_mlx.system import blas
loaded = blas.preload()
import mlx.core as mx
mx.set_default_device(mx.cpu)
x = mx.random.normal((65, 33))
assert mx.allclose(x @ x.T, (x[:, None] * x[None]).sum(-1), atol=1e-4)
print(loaded)
"""


@pytest.mark.parametrize("choice", ["1", "0"])
def test_products_are_right_with_and_without(choice: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRODUCT],
        env=os.environ | {"YOFO_BLAS": choice},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(choice == "1" and blas.LIBRARY.exists())


def test_a_damaged_library_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blas.so").write_bytes(b"not a library")
    monkeypatch.setattr(blas, "LIBRARY", tmp_path / "blas.so")
    monkeypatch.delitem(sys.modules, "mlx.core", raising=False)
    assert blas.preload() is False


def test_no_library_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "LIBRARY", tmp_path / "none.so")
    assert blas.preload() is False
