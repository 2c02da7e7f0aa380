"""The files of a report: Markdown, JSON, pictures, and one page that holds everything."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from markdown_it import MarkdownIt

from yofo_mlx.errors import RunError
from yofo_mlx.runs.events import finite
from yofo_mlx.study.pictures import draw
from yofo_mlx.study.report import markdown
from yofo_mlx.study.results import StudyFolder
from yofo_mlx.study.summary import summarize
from yofo_mlx.system.files import disk_error, write_text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c1e21; background: #fff; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem;
  display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d9dce1; white-space: nowrap; }
svg { max-width: 100%; height: auto; }
h2 { margin-top: 2.2rem; border-bottom: 2px solid #d55e00; padding-bottom: .2rem; }
"""


def write_report(folder: StudyFolder, notes: Sequence[str] = ()) -> Path:
    """Write the report of what a folder's result files hold; return the page's path.

    `notes`: what is missing of what was asked for, in words.
    """
    study, results = folder.identity(), folder.results()
    if not study:
        raise RunError(f"{folder.path} is no study", "`yofo study RECIPE --out DIR` makes one")
    if not results:
        raise RunError(f"{folder.path} has no result yet", "`yofo study RECIPE` goes on with it")
    summary = {**summarize(results, study), "notes": [*notes]}
    drawn = draw(summary)
    text = markdown(summary, {name: f"pictures/{name}.svg" for name in drawn})
    page = folder.path / "report.html"
    try:
        (folder.path / "pictures").mkdir(exist_ok=True)
        for name, svg in drawn.items():
            write_text(folder.path / "pictures" / f"{name}.svg", svg)
        content = json.dumps(finite(summary), indent=1)
        write_text(folder.path / "report.json", content + "\n")
        write_text(folder.path / "report.md", text)
        write_text(page, as_page(text, drawn))
    except OSError as error:
        raise disk_error(error, folder.path, "the same command") from error
    return page


def as_page(text: str, pictures: Mapping[str, str]) -> str:
    """Return Markdown as a page that needs no other file: pictures are in it."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)

    def picture(found: re.Match[str]) -> str:
        svg = pictures[found[1]]
        return svg[svg.index("<svg") :]  # without the XML declaration

    body = re.sub(r'<img src="pictures/(\w+)\.svg"[^>]*>', picture, body)
    title = re.search(r"<h1>(.*?)</h1>", body)
    name = title[1] if title else html.escape("Study")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
