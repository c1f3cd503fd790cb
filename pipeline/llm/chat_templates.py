"""Chat templates of models are programs in Jinja: each is tried once, bounded in time and memory, before use.

They run in a sandbox, which keeps them from files and from Python's inside, but lets them loop and grow
without end.
"""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2.exceptions import SecurityError

from pipeline.base.errors import UserError, one_line, parameter_error
from pipeline.base.files import read_json
from pipeline.base.params import LlmParams
from pipeline.llm.identity import chat_template_text
from pipeline.llm.prompt import Message
from pipeline.llm.template_process import Excess, TemplateProcess, TooLong
from pipeline.llm.turns import Turns

PARAMETER = "llm.engine_args.chat_template"
REMEDY = f"Restore the model's own chat template, or name another model or {PARAMETER}"
MAX_CHARACTERS = 10_000_000  # of a rendered prompt
ROW_SECONDS = 10.0  # for the prompt of one row
CPU_SECONDS = 10  # of a core, for a template that is tried
_MAX_TEMPLATES = 20  # of one model
_WAIT_SECONDS = 120.0  # for these, on a busy machine
_AN_IMAGE = "<image>"  # the name of a model's own placeholder is not known before the model is


def try_chat_templates(params: LlmParams, folders: Sequence[Path], messages: Sequence[Message]) -> int:
    """Render each chat template as the stages will, in a process that may use 10 s each time, and 2 GB.

    A template that refuses these messages is none that fails here; that is handled where rows are rendered.

    Args:
        folders: of the model and of what else it loads; `check_llm_files` gives them.
        messages: of one row.

    Returns:
        How many templates there are.

    Raises:
        UserError: a template takes longer or more memory, writes more than 10 million characters, or asks for
            what the sandbox forbids; or there are more than 20; or none reads a variable that
            `llm.chat_template_kwargs` sets.
    """
    found = [pair for folder in folders for pair in _templates(folder)]
    if given := params.engine_args.get("chat_template"):
        found.append((f"params.yaml, field '{PARAMETER}'", chat_template_text(str(given))))
    templates = {template: where for where, template in reversed(found)}
    if len(templates) > _MAX_TEMPLATES:
        reason = f"the model has more than {_MAX_TEMPLATES} chat templates"
        raise UserError(reason, "Remove those that are not needed", file=folders[0], value=len(templates))
    specials: dict[str, Any] = {}
    for folder in reversed(folders):
        specials |= _special_tokens(folder)
    reads: set[str] = set()
    for template, where in templates.items():
        reads |= _try(template, where, _Given(params, specials, list(messages)))
    if folders and params.engine_args.get("tokenizer_mode", "auto") in ("auto", "hf"):  # others need none
        _check_variables(params.chat_template_kwargs, reads, bool(templates))
    return len(templates)


def _check_variables(given: dict[str, Any], reads: set[str], templates: bool) -> None:
    for name in sorted(given.keys() - reads):
        own = reads - {"messages", "add_generation_prompt", "raise_exception", "strftime_now"}
        known = f"It reads {', '.join(sorted(own))}. " if own else ""
        reason = (
            "the model's chat template reads no such variable"
            if templates
            else "the model has no chat template"
        )
        raise parameter_error(reason, f"{known}Remove it", "llm.chat_template_kwargs", name)


def check_turns(params: LlmParams, folder: Path, messages: Sequence[Message]) -> str:
    """Refuse a model whose chat template refuses the turns of a prompt; say how they are sent.

    A system turn that the template refuses goes to the head of the first user turn (`chat.ChatRenderer`).

    Args:
        folder: of the model's tokenizer.
        messages: of one row, as a prompt has them.

    Raises:
        UserError: the template refuses both forms, or what `try_chat_templates` raises.
    """
    if given := params.engine_args.get("chat_template"):
        where, template = f"params.yaml, field '{PARAMETER}'", chat_template_text(str(given))
    elif (found := _own_template(folder)) is not None:
        where, template = found
    else:
        return "no chat template: prompts are plain text"
    with _Trial(template, where, _Given(params, _special_tokens(folder), list(messages))) as trial:
        refusal = trial.refusal(with_image=False)
    if refusal is not None:
        reason = f"the chat template refuses the turns of the prompts: {one_line(refusal)}"
        raise UserError(reason, f"Change the prompts, or name another template by {PARAMETER}", file=where)
    if trial.turns.system_taken is False:
        return "its chat template takes no system turn: that text goes before the first user turn"
    return "its chat template takes the prompts"


def _own_template(folder: Path) -> tuple[str, str] | None:
    """Where the template that a tokenizer uses stands, and its text."""
    named = dict(_templates(folder))
    own = str(folder / "chat_template.jinja")
    if own in named:
        return own, named[own]
    file = folder / "tokenizer_config.json"
    value = read_json(file, "Restore it").get("chat_template") if file.is_file() else None
    if isinstance(value, list):
        texts = {item.get("name"): item.get("template") for item in value if isinstance(item, dict)}
        value = texts.get("default")
    return (f"{file}, field 'chat_template'", value) if isinstance(value, str) else None


@dataclass(frozen=True)
class _Given:
    """What a template is given: special tokens by their names, and the messages of one row."""

    params: LlmParams
    specials: Mapping[str, Any]
    messages: list[Message]


def _try(template: str, where: str, given: _Given) -> set[str]:
    """The names of the variables that the template reads."""
    with _Trial(template, where, given) as trial:
        for with_image in (False, True) if given.params.images else (False,):
            trial.refusal(with_image)
        return trial.names()


class _Trial:
    """Renders a template as the stages do, for a `with` block; a `UserError` says what no template may do."""

    def __init__(self, template: str, where: str, given: _Given) -> None:
        self._process, self._where, self._given = TemplateProcess(template), where, given
        self.turns = Turns(self._write, _AN_IMAGE)

    def __enter__(self) -> "_Trial":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._process.close()
        if isinstance(error, Excess):
            raise UserError(str(error), REMEDY, file=self._where) from None

    def names(self) -> set[str]:
        """The variables that it reads."""
        return set(self._process.names(CPU_SECONDS, _WAIT_SECONDS))

    def refusal(self, with_image: bool) -> Exception | None:
        """Why it refuses the messages; None where it takes them."""
        try:
            self.turns.text(self._given.messages, with_image)
        except Excess:
            raise
        except TooLong as error:
            raise UserError(str(error), REMEDY, file=self._where) from None
        except SecurityError as error:
            reason = f"the chat template asks for what its sandbox forbids: {error}"
            raise UserError(reason, REMEDY, file=self._where) from None
        except Exception as error:  # templates raise anything
            return error
        return None

    def _write(self, turns: list[Any]) -> str:
        given = {"add_generation_prompt": True, **self._given.params.chat_template_kwargs}
        return self._process.render(
            turns,
            {**self._given.specials, **given},
            seconds=CPU_SECONDS,
            wait=_WAIT_SECONDS,
            characters=MAX_CHARACTERS,
        )


def _templates(folder: Path) -> Iterator[tuple[str, str]]:
    """Where each template of a model's folder stands, and its text."""
    for file in sorted([*folder.glob("*.jinja"), *folder.glob("additional_chat_templates/*.jinja")]):
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError("the chat template cannot be read", REMEDY, file=file, value=error) from None
    for name in ("tokenizer_config.json", "processor_config.json", "chat_template.json"):
        file = folder / name
        value = read_json(file, "Restore it").get("chat_template") if file.is_file() else None
        for item in value if isinstance(value, list) else [value]:  # one text, or a list of named ones
            text = item.get("template") if isinstance(item, dict) else item
            if isinstance(text, str):
                yield f"{file}, field 'chat_template'", text


def _special_tokens(folder: Path) -> dict[str, str]:
    """What a template sees of the tokenizer: `bos_token` and the like, as far as the folder's files say."""
    tokens = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            for key, value in read_json(folder / name, "Restore it").items():
                text = value.get("content") if isinstance(value, dict) else value
                if key.endswith("_token") and isinstance(text, str):
                    tokens[key] = text
    return tokens


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """End the block after so many seconds, between two steps of Python; only on the main thread.

    Raises:
        TimeoutError: the block took longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: object) -> None:
        raise TimeoutError(f"the chat template takes longer than {seconds:g} s for one row")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
