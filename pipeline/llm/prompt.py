"""Prompts are text files: turns that open with `## system`, `## user` or `## assistant`, and placeholders.

The last turn is the user's and holds the row (`{graph}`, `{modification}`); the turns before it are shared by
all rows, so they come first and an engine with a prefix cache computes them once.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.base.errors import UserError

ROLES = ("system", "user", "assistant")
_HEADING = re.compile(r"^##[ \t]+(\S+)[ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")

Placeholder = str | tuple[str, ...]
Message = dict[str, str]  # {"role": ..., "content": ...}, as chat templates and OpenAI's API take it


@dataclass(frozen=True)
class PromptTemplate:
    """Turns with placeholders. `hash` is the sha256 of the file's text."""

    turns: tuple[tuple[str, str], ...]
    hash: str

    @property
    def placeholders(self) -> set[str]:
        """Names in braces in the last turn."""
        return set(_PLACEHOLDER.findall(self.turns[-1][1]))

    def render(self, **values: str) -> list[Message]:
        """Messages with the placeholders filled in, in one pass: braces inside a value stay as they are.

        The messages of turns without a placeholder are the same objects each time, not to be changed.
        """
        return [
            message
            if message is not None
            else {"role": role, "content": _PLACEHOLDER.sub(lambda m: values.get(m[1], m[0]), text)}
            for message, (role, text) in zip(self._shared, self.turns, strict=True)
        ]

    @cached_property
    def _shared(self) -> list[Message | None]:
        """The message of each turn, None where it has a placeholder: thousands of rows hold them once."""
        return [
            None if _PLACEHOLDER.search(text) else {"role": role, "content": text}
            for role, text in self.turns
        ]


def load_prompt(path: Path, placeholders: Sequence[Placeholder]) -> PromptTemplate:
    """Read a prompt file and check that it can be used.

    Args:
        path: the text file.
        placeholders: names that the last turn must hold in braces, the only ones allowed anywhere. Of a tuple
            of names it must hold one.

    Raises:
        UserError: the file is missing or no UTF-8, a role is unknown, the turns are in an order that no chat
            template takes, or a placeholder is missing or unknown.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would block for ever
            raise FileNotFoundError
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        remedy = "Correct the path in params.yaml, or write the file"
        raise UserError("there is no such prompt file", remedy, file=path) from None
    except OSError as error:
        remedy = "Check the path and its permissions"
        raise UserError("the prompt file cannot be read", remedy, file=path, value=error.strerror) from None
    except UnicodeDecodeError as error:
        reason = "the prompt file is no UTF-8 text"
        raise UserError(reason, "Save it as UTF-8", file=path, value=error) from None
    preamble, *headed = _HEADING.split(text)
    if preamble.strip():
        remedy = "Start the file with a line `## system` or `## user`"
        first = preamble.strip().splitlines()[0]
        raise UserError("there is text before the first turn", remedy, file=path, value=first)
    turns = tuple((role, body.strip()) for role, body in zip(headed[::2], headed[1::2], strict=True))
    _check_roles(turns, path)
    _check_placeholders(turns, placeholders, path)
    return PromptTemplate(turns, hashlib.sha256(text.encode()).hexdigest())


def _check_roles(turns: tuple[tuple[str, str], ...], path: Path) -> None:
    for role, body in turns:
        if role not in ROLES:
            reason = f"the role of a turn is none of {', '.join(ROLES)}"
            raise UserError(reason, "Correct it", file=path, value=role)
        if not body:
            raise UserError("a turn is empty", "Write its text, or remove its heading", file=path, value=role)
    roles = [role for role, _ in turns]
    talk = roles[1:] if roles[:1] == ["system"] else roles
    expected = ["user", "assistant"] * (len(talk) // 2) + ["user"]
    if talk != expected:
        remedy = "After an optional system turn, user and assistant take turns and the user comes last"
        value = ", ".join(roles) or "no turn"
        raise UserError("the turns are in the wrong order", remedy, file=path, value=value)


def _check_placeholders(
    turns: tuple[tuple[str, str], ...], wanted: Sequence[Placeholder], path: Path
) -> None:
    in_last = set(_PLACEHOLDER.findall(turns[-1][1]))
    alternatives = [(one,) if isinstance(one, str) else one for one in wanted]
    for names in alternatives:
        if in_last.isdisjoint(names):
            reason = "a placeholder is missing from the last turn"
            raise UserError(
                reason, f"Write {' or '.join(map(_braced, names))} there", file=path, field=names[0]
            )
    allowed = [name for names in alternatives for name in names]
    for _, body in turns:
        for name in _PLACEHOLDER.findall(body):
            if name not in allowed:
                remedy = "Use " + " and ".join(map(_braced, allowed))
                raise UserError("the placeholder is unknown", remedy, file=path, value=_braced(name))


def _braced(name: str) -> str:
    return f"{{{name}}}"
