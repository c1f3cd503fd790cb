"""The pages for people: their commands, their Python, their links.

Fences without a language hold commands, one a line; what these print stands in fences of the language `text`.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r" *(```+|~~~+) *(\S*)")


@dataclass(frozen=True)
class Block:
    """What stands in a fence of a page, from its line `line` on (from 1)."""

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A whole shell command, which may have several lines, and where it stands."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@cache
def pages() -> tuple[str, ...]:
    """Paths of all pages, relative to the repository."""
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    found += [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "models").glob("*/README.md"))]
    return tuple(page.relative_to(ROOT).as_posix() for page in found)


@cache
def blocks(page: str) -> tuple[Block, ...]:
    """All fences of a page."""
    found, opened, language, start = [], "", "", 0
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if fence and not opened:
            opened, language, start = fence[1], fence[2], number
        elif fence and fence[1] == opened and not fence[2]:
            text = "\n".join(lines[start : number - 1])
            found.append(Block(page, start + 1, language, text))
            opened = ""
    assert not opened, f"{page}:{start}: the fence is not closed"
    return tuple(found)


def prose(page: str) -> str:
    """A page without its fences; line numbers stay."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    for block in blocks(page):
        for number in range(block.line - 1, block.line - 1 + len(block.text.splitlines())):
            lines[number] = ""
    return "\n".join(lines)


def commands(page: str) -> list[Command]:
    """The commands of a page, in order."""
    return [command for block in blocks(page) if not block.language for command in _split(block)]


def python(page: str) -> list[Block]:
    """The Python of a page, in order."""
    return [block for block in blocks(page) if block.language == "python"]


def _split(block: Block) -> Iterator[Command]:
    """Lines that belong together (`\\`, quotes, loops) are one command."""
    lines: list[str] = []
    start = block.line
    for number, line in enumerate(block.text.splitlines(), block.line):
        if not lines:
            start = number
        if lines or line.strip():
            lines.append(line)
        if lines and not line.endswith("\\") and _whole("\n".join(lines)):
            yield Command(block.page, start, "\n".join(lines).strip())
            lines = []
    if lines:
        yield Command(block.page, start, "\n".join(lines).strip())


@cache
def _whole(text: str) -> bool:
    if not any(sign in text for sign in "'\"`$({\\") and not re.match(r"\s*(for|while|if|until)\b", text):
        return True
    return subprocess.run(["bash", "-n", "-c", text], capture_output=True).returncode == 0


def inline(page: str) -> list[Command]:
    """Code within the prose that begins with the name of one of this project's programs."""
    found = []
    for number, line in enumerate(prose(page).splitlines(), 1):
        found += [Command(page, number, code) for code in re.findall(r"`((?:lempo|dvc) [^`]+)`", line)]
    return found


@cache
def anchors(page: str) -> frozenset[str]:
    """What a link to a heading of the page may name, as GitHub forms it."""
    found: dict[str, int] = {}
    for title in re.findall(r"^#+ +(.+?) *#*$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
        if found[anchor]:
            found[f"{anchor}-{found[anchor]}"] = 0
    return frozenset(found)


def links(page: str) -> list[tuple[int, str]]:
    """Line and target of every link and picture that leads into the repository."""
    text = re.sub(r"`[^`\n]*`", lambda code: "`" * len(code[0]), prose(page))
    found = []
    for match in re.finditer(r"\]\(([^()\s]+)\)", text):
        if not re.match(r"[a-z]+:", match[1]):
            found.append((text.count("\n", 0, match.start()) + 1, match[1]))
    return found
