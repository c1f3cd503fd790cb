"""What models put around a text, and the text without it.

A text loses what the rules at the end of this file name, and nothing else: tokens and tags, further turns, a
code fence, JSON, what stands before a label, a preface, remarks to the reader, headings and marks of
markdown, quotes. A rule reads lines without needless spaces and returns a part of them, in linear time.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from pipeline.captions.chatter import (
    ANNOUNCEMENT,
    FIRST_REMARK,
    INTERJECTION,
    LABEL,
    LABEL_OF_FINAL,
    LAST_REMARK,
    PREFACE,
    PREFACE_ABROAD,
)

KEY = "caption"
MOST_ROUNDS = 8  # what is wrapped more often than this holds no text

_TOKEN = (
    r"(?:<[|｜][\w:/ ▁-]{1,40}[|｜]?>|</?s>|</?bos>|</?eos>|</?pad>|<(?:start|end)_of_turn>|<turn\||"
    r"\[/?INST\])"
)
_OPENING_TOKENS = re.compile(rf"(?:\s*{_TOKEN}(?:(?:assistant|model)\b:?)?)+\s*", re.IGNORECASE)
_TOKENS = re.compile(_TOKEN, re.IGNORECASE)
_TAGS = re.compile(r"<(/?)(?:final[_ -]?)?(?:answer|caption|output|response|result|final)>", re.IGNORECASE)
_LAYOUT = re.compile(r"</?(?:p|br|div) ?/?>", re.IGNORECASE)
_EMPHASIS = re.compile(r"</?(?:b|i|em|strong|span)>", re.IGNORECASE)
_TURN = re.compile(r"\n(?:#{1,6} )?(?:human|user) ?:|\n#{1,6} (?:instruction|input)s? ?:", re.IGNORECASE)
_BOX = "\\boxed{"
_FENCE = re.compile(r"```+|~~~+")
_LANGUAGE = re.compile(r"[ \t]*[\w+-]{0,20}[ \t]*\n")
_OBJECT = re.compile(r"\{\s*[\"'}]")
_LOOSE = re.compile(  # with quotes that nothing escapes, or those of Python
    r"""\{\s{0,9}["'](?:caption|description|text|answer)["']\s{0,9}:\s{0,9}["'](.*)["']\s{0,9},?\s{0,9}\}""",
    re.DOTALL,
)
_RULE = re.compile(r"(?:[-*_=] ?){3,}")
_HEADING = re.compile(r"#{1,6} ")
_BOLD_LINE = re.compile(r"(\*\*|__)(?=\S)(?:(?!\1).)*\1:?")
_QUOTE_MARK = re.compile(r"(?:> ?)+")
_BOLD = re.compile(r"\*\*|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)")
_ITALIC = re.compile(r"(?<![\w*])([*_])(?=[^\s*_])([^*_\n]*)(?<=\S)\1(?![\w*])")
_ITEM = re.compile(r"(?:[-*\u2022\u2013]|\d{1,2}[.)]) ")
_ITEM_INSIDE = re.compile(r" (?:[-*\u2022\u2013]|\d{1,2}[.)]) ")
_ENDS = (".", "!", "?", '."', ".\u201d", ".)")
_QUOTES = {
    '"': '"',
    "\u201c": "\u201d",
    "'": "'",
    "\u2018": "\u2019",
    "\u00ab": "\u00bb",
    "\u201e": "\u201c",
    "\u300c": "\u300d",
    "\u300e": "\u300f",
    "`": "`",
}


def unwrapped(text: str) -> str:
    """The text on one line, without what stands around it; unwrapping it again changes nothing.

    It is empty if it was wrapped in more layers than anything that is meant as a text.
    """
    text = _with_single_spaces(text)
    for _ in range(MOST_ROUNDS):
        found = text
        for rule in _RULES:
            part = rule(found)
            found = found if part == found else _with_single_spaces(part)
        if found == text:
            found = " ".join(text.split())
            if found == text:
                return text
        text = found
    return ""


def caption_in_json(text: str) -> str | None:
    """The caption in the first JSON object in a text: its `caption`, or the one text that it holds.

    None where there is no object, or none that says what its caption is.
    """
    start = _OBJECT.search(text)
    if start is None:
        return None
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text, start.start())
    except (ValueError, RecursionError):  # ValueError also for a number of thousands of digits
        loose = _LOOSE.match(text, start.start())
        return loose[1] if loose and '":' not in loose[1] else None
    return _caption_of(value)


def begins_json(text: str) -> bool:
    """Whether a text begins as a JSON object does."""
    return _OBJECT.match(text) is not None


def _caption_of(value: dict[str, Any]) -> str | None:
    one = value[KEY] if KEY in value else next(iter(value.values())) if len(value) == 1 else None
    return one if isinstance(one, str) else None


def _with_single_spaces(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _without_tokens(text: str) -> str:
    """Up to the first token that ends a turn."""
    opening = _OPENING_TOKENS.match(text)
    start = opening.end() if opening else 0
    end = _TOKENS.search(text, start)
    return text[start : end.start() if end else None]


def _before_next_turn(text: str) -> str:
    """What stands before a turn of the user, whom some models speak for; it must be a sentence of its own."""
    turn = _TURN.search(text)
    if turn is None or not text[: turn.start()].endswith(_ENDS):
        return text
    announced = INTERJECTION.match(text) or PREFACE.match(text)
    return text if announced and turn[0].startswith("\n#") else text[: turn.start()]


def _without_html(text: str) -> str:
    return _EMPHASIS.sub("", _LAYOUT.sub(" ", text))


def _inside_box(text: str) -> str:
    """What stands in the last `\\boxed{}`, in which models of mathematics put an answer."""
    start = text.rfind(_BOX)
    if start < 0:
        return text
    inside, end, _ = text[start + len(_BOX) :].rpartition("}")
    if inside.startswith("\\text{"):
        inside = inside.removeprefix("\\text{").removesuffix("}")
    return inside if end else text


def _inside_tags(text: str) -> str:
    """What stands in `<answer>` or `<caption>`."""
    start = end = None
    for tag in _TAGS.finditer(text):
        if not tag[1]:
            start = start or tag
        else:
            end = tag
            break
    return text[start.end() if start else 0 : end.start() if end else None]


def _inside_fence(text: str) -> str:
    """What stands in the first code fence, whether or not it ends; marks around nothing go."""
    start = _FENCE.search(text)
    if start is None:
        return text
    end = _FENCE.search(text, start.end())
    inside = text[start.end() : end.start() if end else None]
    language = _LANGUAGE.match(inside)
    inside = inside[language.end() :] if language else inside
    return inside if inside.strip() else _FENCE.sub("", text)


def _out_of_json(text: str) -> str:
    caption = caption_in_json(text)
    return text if caption is None else caption


def _after_label(text: str) -> str:
    """What follows the first line that a label opens or that announces the text.

    A label for the final text goes before others.
    """
    lines = text.split("\n")
    labels = []
    for number, line in enumerate(lines):
        bare = _BOLD.sub("", _HEADING.sub("", line, count=1)) if line[:1] in "#*_" else line
        label = LABEL.match(bare) or ANNOUNCEMENT.search(bare)
        alone = len(lines) == 1 and bare.endswith(":")
        if label and (bare[label.end() :] or number + 1 < len(lines) or alone):
            labels.append((number, bare, label))
    if not labels:
        return text
    final = [label for label in labels if LABEL_OF_FINAL.match(label[1])]
    number, bare, label = final[-1] if final else labels[0]
    return "\n".join([bare[label.end() :], *lines[number + 1 :]])


def _without_headings(text: str) -> str:
    """Without headings before the text, and without all that follows a heading after it."""
    kept: list[str] = []
    lines = [line for line in text.split("\n") if not _RULE.fullmatch(line)]
    for number, line in enumerate(lines):
        marked = _HEADING.match(line) or _BOLD_LINE.fullmatch(line)
        sentence = not marked or line.rstrip("*_ ").endswith(_ENDS)
        if kept and not sentence:
            break
        if sentence or number + 1 == len(lines):
            kept.append(_HEADING.sub("", line, count=1))
    return "\n".join(kept)


def _without_marks(text: str) -> str:
    """Without marks of quotations, emphasis and items."""
    lines = [
        _QUOTE_MARK.sub("", line, count=1) if line.startswith(">") else line for line in text.split("\n")
    ]
    lines = [_ITALIC.sub(r"\2", _BOLD.sub("", line)) for line in lines]
    items = [line for line in lines if _ITEM.match(line)]
    alone = len(items) == 1 and not _ITEM_INSIDE.search(items[0])
    sentences = all(line.endswith(_ENDS) for line in items)
    if items[:1] == lines[:1] and (alone or sentences):  # other lists repeat the prompt's: that must show
        lines = [_ITEM.sub("", line, count=1) for line in lines]
    return "\n".join(lines)


def _without_preface(text: str) -> str:
    start = INTERJECTION.match(text) or PREFACE.match(text) or PREFACE_ABROAD.match(text)
    return text[start.end() :] if start else text


def _without_remarks(text: str) -> str:
    first = FIRST_REMARK.match(text)
    text = text[first.end() :] if first else text
    last = LAST_REMARK.search(text)
    return text[: last.start()] if last else text


def _without_quotes(text: str) -> str:
    """A text in quotes without them. Quotes around its first words and around its last ones stay."""
    end = len(text) - (text[-2:-1] in _QUOTES.values() and text[-1] in ".!")
    if end < 2 or _QUOTES.get(text[0]) != text[end - 1]:
        return text
    inside = text[1 : end - 1]
    opens, closes = inside.find(text[0]), inside.find(text[end - 1])
    if opens == closes:  # one sign for both, or neither
        nested = opens <= 0 or inside[opens - 1].isspace() or inside[opens + 1 : opens + 2].isalnum()
    else:
        nested = closes < 0 or 0 <= opens < closes
    return inside + text[end:] if nested else text


_RULES: tuple[Callable[[str], str], ...] = (
    _without_tokens,
    _before_next_turn,
    _without_html,
    _inside_box,
    _inside_tags,
    _inside_fence,
    _out_of_json,
    _after_label,
    _without_preface,
    _without_remarks,
    _without_headings,
    _without_marks,
    _without_quotes,
)
