"""A chat template in a process of its own: whatever it does there, it ends, and holds nothing up here.

A step of a template can take for ever and never let Python go, as a comparison of nested lists does. In this
process no signal and no thread could end it.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from jinja2.exceptions import SecurityError, TemplateError

MEMORY_BYTES = 2 * 2**30  # of the process, its libraries included
START_SECONDS = 120.0  # for its imports, on a busy machine
_CHILD = Path(__file__).with_name("template_child.py")
_PIECE = 2**20


class Excess(TimeoutError):
    """A template takes more time or memory than it may have; the message says so."""


class TooLong(ValueError):
    """A template makes more characters than any prompt has; the message says so."""


class TemplateProcess:
    """Renders one chat template, for one thread. The process starts when it is first needed.

    One that took too much is ended, and another one starts for the next messages. If this process is killed,
    it ends by itself.
    """

    def __init__(self, template: str) -> None:
        self._template = template
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "TemplateProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def names(self, seconds: float, wait: float) -> list[str]:
        """The variables that the template reads; none where it is no template.

        Raises:
            Excess: as `render`.
        """
        return list(self._ask({}, seconds, wait)["names"])

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any],
        *,
        seconds: float,
        wait: float,
        characters: int,
    ) -> str:
        """The text that transformers' `apply_chat_template` makes of some messages.

        Args:
            variables: all that it hands to the template, apart from messages, `tools` and `documents`.
            seconds: of a core, which the template may take.
            wait: seconds to wait for it.
            characters: the most that it may write.

        Raises:
            Excess: it takes more time or memory, or its process dies.
            TooLong: it writes more.
            jinja2.TemplateError: it refuses the messages; a `SecurityError` if the sandbox stops it.
            RuntimeError: it fails.
        """
        question = {"messages": messages, "variables": variables, "characters": characters}
        answer = self._ask(question, seconds, wait)
        if "text" in answer:
            return str(answer["text"])
        if "length" in answer:
            raise TooLong(f"the chat template makes {answer['length']:,} characters of one row")
        if answer["by_template"]:
            raise (SecurityError if answer["forbidden"] else TemplateError)(answer["error"])
        raise RuntimeError(answer["error"])

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child = None
            self._end()

    def _ask(self, question: dict[str, Any], seconds: float, wait: float) -> dict[str, Any]:
        if self._child is not None and self._child.poll() is not None:
            self.close()  # something ended it since
        try:
            if self._child is None:
                self._start()
                self._exchange({"template": self._template, "bytes": MEMORY_BYTES}, seconds, START_SECONDS)
            answer = self._exchange({**question, "seconds": seconds}, seconds, wait)
        except BaseException:  # a later question must not get this one's answer
            self.close()
            raise
        if answer.get("memory"):
            raise _out_of_memory()
        return answer

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        child = subprocess.Popen(
            [
                sys.executable,
                "-P",
                str(_CHILD),
            ],  # -P: the names of this folder's modules are Python's own too
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each thread reserves memory
            start_new_session=True,  # Ctrl-C must not reach it: its row would fail
            bufsize=0,
        )
        self._end = weakref.finalize(self, _end, child, self._errors)
        self._child = child

    def _exchange(self, question: dict[str, Any], seconds: float, wait: float) -> dict[str, Any]:
        assert self._child is not None and self._child.stdin is not None and self._child.stdout is not None
        end = time.monotonic() + wait
        try:
            _write(self._child.stdin.fileno(), json.dumps(question, default=str).encode() + b"\n")
        except BrokenPipeError:
            raise self._death(seconds) from None
        source = self._child.stdout.fileno()
        answers = select.poll()
        answers.register(source, select.POLLIN)
        line = bytearray()
        while not line.endswith(b"\n"):
            if not answers.poll(max(0.0, end - time.monotonic()) * 1000):
                raise _out_of_time(seconds)
            piece = os.read(source, _PIECE)
            if not piece:
                raise self._death(seconds)
            line += piece
        return dict(json.loads(line))

    def _death(self, seconds: float) -> Excess:
        """Why the process ended."""
        assert self._child is not None
        code = self._child.wait()
        self._errors.seek(0)
        last = (self._errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]
        if code == -signal.SIGXCPU:
            return _out_of_time(seconds)
        if code == -signal.SIGKILL or last.startswith("MemoryError"):
            return _out_of_memory()
        return Excess(f"the chat template cannot be rendered: {last or f'its process ended with {code}'}")


def _out_of_time(seconds: float) -> Excess:
    return Excess(f"the chat template takes longer than {seconds:g} s for one row")


def _out_of_memory() -> Excess:
    return Excess(f"the chat template takes more than {MEMORY_BYTES / 2**30:.0f} GB for one row")


def _write(descriptor: int, line: bytes) -> None:
    left = memoryview(line)
    while left:
        left = left[os.write(descriptor, left) :]


def _end(child: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
    child.kill()
    child.wait()
    for file in (child.stdin, child.stdout, errors):
        if file is not None:
            file.close()
