"""Splits a document into passages: the unit that is searched and shown.

The rule, which database/seeds/dev/010_documents.sql follows too:

1. Blank lines separate blocks. Inside a fence (``` or ~~~) they do not, and nothing there is a heading.
2. A line of one to six `#`, a space and at most 200 characters is a heading; it ends the block before it and stands
   over the passages that follow, up to the next heading.
3. Every other block is a passage. A block that ends in a colon leads in to the next one under the same heading, and
   the two are one passage.
4. A passage that is longer than the limit is cut after the last sentence or line that fits, else at a space, else at
   the limit.
5. A document of headings only has these as its passages.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

LIMIT = 1200

_HEADING = re.compile(r"#{1,6}[ \t]+(\S.{0,199}?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_SPACE = re.compile(r"\s+")


class Passage(NamedTuple):
    heading: str | None
    body: str


def split(body: str, limit: int = LIMIT) -> list[Passage]:
    lines = body.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    passages = [Passage(heading, piece) for heading, text in _joined(lines) for piece in _cut(text, limit)]
    if not passages:
        passages = [Passage(None, match[1]) for line in lines if (match := _HEADING.fullmatch(line))]
    return passages


def _joined(lines: list[str]) -> Iterator[tuple[str | None, str]]:
    """Blocks with their headings, a lead-in together with what it leads in to."""
    waiting: tuple[str | None, str] | None = None
    for heading, text in _blocks(lines):
        if waiting is not None and waiting[0] is heading:
            text = f"{waiting[1]}\n\n{text}"
        elif waiting is not None:
            yield waiting
        waiting = None
        if text.endswith(":"):
            waiting = heading, text
        else:
            yield heading, text
    if waiting is not None:
        yield waiting


def _blocks(lines: list[str]) -> Iterator[tuple[str | None, str]]:
    heading: str | None = None
    block: list[str] = []
    fence: str | None = None
    for line in [*lines, ""]:
        match = None if fence else _HEADING.fullmatch(line)
        if fence or (line.strip() and not match):
            block.append(line)
            if mark := _FENCE.match(line):
                fence = mark[1] if fence is None else None if mark[1] == fence else fence
            continue
        if text := "\n".join(block).strip():
            yield heading, text
        block = []
        if match:
            heading = match[1]
    if text := "\n".join(block).strip():  # a fence that was never closed
        yield heading, text


def _cut(text: str, limit: int) -> Iterator[str]:
    while len(text) > limit:
        ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, limit + 1) if match.start() > 0]
        spaces = ends or [match.end() for match in _SPACE.finditer(text, 0, limit + 1) if match.start() > 0]
        end = min(max(spaces, default=limit), limit + 1)
        yield text[:end].strip()
        text = text[end:].strip()
    if text:
        yield text
