"""The command line as a module: `python -m yofo_mlx.cli`."""

from yofo_mlx.cli import main

main()
