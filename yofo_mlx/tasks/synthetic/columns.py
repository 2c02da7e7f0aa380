"""Kinds whose rows have columns beside input and answer, for studies of the related work."""

from collections.abc import Callable
from random import Random

from yofo_mlx.recipe.family import Family
from yofo_mlx.tasks.suite.tasks import Role
from yofo_mlx.tasks.synthetic.row import DrawRow

KINDS: dict[str, tuple[Callable[[Random, Role], DrawRow], Family]] = {}
