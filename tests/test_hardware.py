"""docs/hardware.md is what the reports in docs/hardware/ make; nothing in them is personal."""

import json
import re

import hardware


def test_the_page_is_what_is_generated() -> None:
    assert hardware.PAGE.read_text("utf-8") == hardware.page(hardware.read())


def test_a_report_that_was_cut_off_has_a_section_too() -> None:
    whole = next(iter(hardware.read().values()))
    for count in range(len(whole)):
        lines = list(hardware.section("cut", dict(list(whole.items())[:count])))
        assert any("cut off" in line for line in lines[:4]) or count > 1


def test_no_report_holds_a_path_or_an_address() -> None:
    for told in hardware.read().values():
        assert not re.search(
            r"(?i)/(home|users|root|work|tmp)\b|@|serial|\.local\b", json.dumps(told)
        )
