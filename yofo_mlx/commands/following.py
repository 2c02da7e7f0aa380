"""`yofo train` and `yofo resume` where `mlx.launch` gave them another rank than 0."""

from yofo_mlx.errors import YofoError
from yofo_mlx.system import launcher


def follow() -> int:
    """Take part in what rank 0 trains."""
    from yofo_mlx.training import following

    try:
        return following.follow()
    except YofoError as error:
        error.message = f"rank {launcher.rank()} of {launcher.count()}: {error.message}"
        raise
