"""What Python does between the app's own steps, kept from keeping keys waiting."""

import gc
import sys

READ_BY_S = 10.0  # hundreds of runs are read by then


def begin() -> None:
    """Let threads that compute give way soon, and collect nothing before the first frame."""
    gc.disable()
    sys.setswitchinterval(0.001)  # seconds


def settle() -> None:
    """Collect from now on, but pass by what there is: it stays, and looking at it takes a while."""
    gc.enable()
    gc.freeze()
