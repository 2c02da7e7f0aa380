"""Every case that once went wrong is a test that names it."""

import pytest

from tests.places import ROOT

SHARED = ROOT.parent / "shared" / "cases"  # beside the checkout of a developer
CASES = """
    alpaca-optional-input answers-longer-than-the-limit content-only-template crlf-leak
    date-in-template gz-with-split-records header-repeated ids-beyond-embedding
    label-invisibly-spelled label-list-as-text large-data-forecast local-hub-clone
    local-hub-configs mixed-bits not-what-the-name-says pipe-of-odd-bytes recipe-with-bom
    relative-model-path same-stem-pattern saved-to-disk special-token-in-html system-per-row
    tsv-lone-quotes turn-end-not-named weight-zero
""".split()


def test_every_case_is_named_by_a_test() -> None:
    texts = [path.read_text("utf-8") for path in ROOT.glob("tests/**/test_cases_*.py")]
    assert not [case for case in CASES if not any(case in text for text in texts)]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the cases are not beside this checkout")
def test_the_list_of_cases_is_complete() -> None:
    assert sorted(path.name for path in SHARED.iterdir() if path.is_dir()) == CASES
