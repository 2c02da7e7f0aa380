"""`yofo study --report`: the report anew, from result files alone, without a model."""

import json
from pathlib import Path

from yofo_mlx.errors import ExitCode
from yofo_mlx.study.page import write_report
from yofo_mlx.study.results import StudyFolder
from yofo_mlx.system.talk import print_path


def report(folder: Path, *, as_json: bool = False) -> ExitCode:
    """Write the report of a study's folder."""
    show(write_report(StudyFolder(folder)), as_json=as_json)
    return ExitCode.OK


def show(page: Path, *, as_json: bool) -> None:
    """Print where a report's page is, or what it says."""
    if as_json:
        print(json.dumps(json.loads(page.with_suffix(".json").read_text("utf-8"))))
    else:
        print_path(page)
