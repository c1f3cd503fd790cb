"""Reads a command as its program would, without running it."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT

OPTIONAL = ("curl",)  # a machine may lack it
_SEPARATORS = {"&&", "||", ";", "|", "do", "then", "else"}


def parse(text: str, mentioned: bool = False) -> None:
    """Raise an AssertionError if a program of a shell command would refuse its options.

    With `mentioned` the bare name of a command is enough, as in prose: "`lempo index` asks no hub".
    """
    for words in simple_commands(text):
        program, *rest = words
        if program == "lempo":
            _lempo(rest, mentioned)
        elif program == "torchrun":
            _lempo(rest[rest.index("lempo.cli") + 1 :], mentioned)
        elif program == "dvc":
            _dvc(rest, mentioned)
        elif program == "make":
            _make(rest)
        elif program == "python" and rest[:2] == ["-m", "pip"]:
            _pip(rest[2:])
        elif program == "pip":
            _pip(rest)
        elif program == "pytest":
            _pytest(rest)
        elif program == "ray":
            _click(_ray(), "ray", rest)
        else:
            assert program in OPTIONAL or _is_there(program), f"`{program}` is no program"


def simple_commands(text: str) -> list[list[str]]:
    """The words of each command in a shell text, without variables before it and files after it."""
    lines = [shlex.split(line, comments=True) for line in _joined(text)]
    found: list[list[str]] = []
    for line in lines:
        words: list[str] = []
        for word in [*line, ";"]:
            bare = word.rstrip(";") if word != ";" else word
            if word in _SEPARATORS:
                found.append(words)
                words = []
            else:
                words.append(bare)
                if bare != word:
                    found.append(words)
                    words = []
    return [plain for words in found if (plain := _plain(words))]


def _joined(text: str) -> list[str]:
    """Lines, of which one that ends in `\\` or within quotes goes on."""
    text = re.sub(r"^ *\w+=\$\(.*?\)(?= |$)", "", text, flags=re.MULTILINE)
    lines, line = [], ""
    for part in text.splitlines():
        line = f"{line}\n{part}" if line else part
        if line.endswith("\\"):
            line = line[:-1]
            continue
        with contextlib.suppress(ValueError):  # an open quote
            shlex.split(line, comments=True)
            lines.append(line)
            line = ""
    assert not line, f"a quote is not closed: {line}"
    return lines


def _plain(words: list[str]) -> list[str]:
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        words = words[1:]
    if words and words[0] in ("for", "while", "done", "fi", "export", "cd", "source"):
        return []
    for number, word in enumerate(words):
        if re.match(r"\d?[<>]", word):
            words = words[:number]
            break
    if words and words[0].startswith(".venv/bin/"):
        words = [words[0].removeprefix(".venv/bin/"), *words[1:]]
    return words


def _lempo(words: list[str], mentioned: bool) -> None:
    import typer

    from lempo.cli import app

    _click(typer.main.get_command(app), "lempo", words, mentioned)


def _click(command: Any, name: str, words: list[str], mentioned: bool = False) -> None:
    """Let click read the words; `mentioned` as above."""
    done = name
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, done, words = command.commands[words[0]], f"{done} {words[0]}", words[1:]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        raise AssertionError(f"`{done}` has no command {words[0]!r}")
    if mentioned and not words:
        return
    try:
        with contextlib.redirect_stdout(io.StringIO()), command.make_context(done, list(words)):
            pass
    except Exception as error:  # click's, or the copy of it that typer holds
        if type(error).__name__ != "Exit":  # --help, --version
            said = getattr(error, "format_message", error.__str__)()
            raise AssertionError(f"`{done}` refuses this: {said}") from None


def _dvc(words: list[str], mentioned: bool) -> None:
    from dvc.cli.parser import get_main_parser

    if mentioned and all(re.fullmatch(r"[a-z][a-z-]*", word) for word in words):
        words = [*words, "--help"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            get_main_parser().parse_args(words)
    except SystemExit as end:
        assert not end.code, f"`dvc` refuses this: {said.getvalue().strip()}"
    except Exception as error:
        raise AssertionError(f"`dvc` refuses this: {error} {said.getvalue().strip()}") from None


def _make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = " ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)).split()
    for word in words:
        name, is_variable, _ = word.partition("=")
        known = f"$({name})" in makefile if is_variable else name in targets
        assert known, f"the Makefile knows no {name!r}"


def _pip(words: list[str]) -> None:
    """In a process of its own: pip changes distutils for whoever imports it."""
    asked = [sys.executable, "-m", "pip", *words, "--help"]  # read after the other options
    done = subprocess.run(asked, capture_output=True, text=True)
    assert not done.returncode, f"`pip` refuses this: {done.stderr.strip()}"


def _pytest(words: list[str]) -> None:
    from _pytest.config import get_config

    try:
        known, unknown = get_config()._parser.parse_known_and_unknown_args(words)
    except SystemExit:
        raise AssertionError("`pytest` refuses this") from None
    assert not unknown, f"`pytest` does not know {unknown}"
    for place in known.file_or_dir:
        assert (ROOT / place.partition("::")[0]).exists(), f"there is no {place}"


@cache
def _ray() -> Any:
    from ray.scripts.scripts import cli

    return cli


@cache
def _is_there(program: str) -> bool:
    asked = ["bash", "-c", 'type -- "$1"', "bash", program]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(asked, env=environment, capture_output=True).returncode == 0
