"""What a file is by its first bytes, where that is not what its name says."""

import re

ENOUGH = 512
"""Bytes of a file's start that tell what it is."""

_BINARY = (".parquet", ".arrow")
_UNPACK = "unpack it, and name the file inside"
_PLAIN = "data are plain text in UTF-8, Parquet or Arrow"
_RENAME = "name it so that it ends in "

# The format a mark is right for ("": for none), what the file is, and what to do.
_MARKS: tuple[tuple[bytes, str, str, str], ...] = (
    (b"PAR1", ".parquet", "a Parquet file", _RENAME + ".parquet"),
    (b"ARROW1", ".arrow", "an Arrow file", _RENAME + ".arrow"),
    (b"\xff\xff\xff\xff", ".arrow", "an Arrow stream", _RENAME + ".arrow"),
    (b"PK\x03\x04", "", "a ZIP archive or an Excel file", f"{_UNPACK}; save a sheet as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "", "an old Excel file", "save the sheet as CSV UTF-8"),
    (b"BZh", "", "compressed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "", "compressed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "", "compressed with zstd", _UNPACK),
    (b"7z\xbc\xaf", "", "a 7-Zip archive", _UNPACK),
    (b"SQLite format 3", "", "a SQLite database", "export its table as CSV"),
    (b"%PDF", "", "a PDF file", _PLAIN),
    (b"\x80\x04\x95", "", "a Python pickle", "write it as JSON Lines or Parquet"),
    (b"\x80\x05\x95", "", "a Python pickle", "write it as JSON Lines or Parquet"),
    (
        b"version https://git-lfs.github.com/",
        "",
        "a Git LFS pointer, not the data themselves",
        "fetch them: git lfs pull",
    ),
)
_GZIP = b"\x1f\x8b"
_UTF32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)
_JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\{\s*"|\[\s*[\[{])')
_JSON_LIST = re.compile(rb"(\xef\xbb\xbf)?\s*\[\s*\{")


def is_gzip(start: bytes) -> bool:
    """Tell whether a file is compressed with gzip."""
    return start.startswith(_GZIP)


def stranger(start: bytes, suffix: str) -> tuple[str, str] | None:
    """Return what a file of this suffix is instead, and what to do; None if it may be one."""
    for mark, of, what, hint in _MARKS:
        if start.startswith(mark):
            return None if of == suffix else (what, hint)
    if _PAGE.match(start):
        return "a web page, not data", "download the file itself, not the page that shows it"
    if suffix in _BINARY:
        return ("compressed with gzip", _UNPACK) if is_gzip(start) else None
    if encoding := _wide(start):
        return f"{encoding}, not UTF-8", f"convert it: iconv -f {encoding} -t UTF-8 FILE"
    if suffix in (".csv", ".tsv") and _JSON.match(start):
        return "JSON, not a table", _RENAME + ".jsonl or .json"
    if suffix in (".jsonl", ".ndjson") and _JSON_LIST.match(start):
        return "a JSON list, not one object a line", _RENAME + ".json"
    return None


def _wide(start: bytes) -> str | None:
    """Return the encoding of text whose characters take two or four bytes."""
    if start.startswith(_UTF32):
        return "UTF-32"
    if start.startswith(_UTF16):
        return "UTF-16"
    whole = start[: len(start) // 2 * 2]
    odd, even = whole[::2], whole[1::2]
    if len(whole) < 4 or any(odd) == any(even):
        return None
    return "UTF-16BE" if any(even) else "UTF-16LE"
