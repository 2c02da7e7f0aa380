"""`yofo study --report`: the report anew, from result files alone, without a model."""

from pathlib import Path

from yofo_mlx.errors import ExitCode
from yofo_mlx.study.page import write_report
from yofo_mlx.study.results import StudyFolder
from yofo_mlx.system.talk import print_path


def report(folder: Path) -> ExitCode:
    """Write the report of a study's folder."""
    print_path(write_report(StudyFolder(folder)))
    return ExitCode.OK
