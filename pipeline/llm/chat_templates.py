"""Chat templates of models are programs in Jinja: each is tried once, bounded in time and memory, before use.

transformers and vLLM render them in a sandbox, which keeps them from files and from Python's inside, but lets
them loop and grow without end.
"""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, parameter_error
from pipeline.base.files import read_json
from pipeline.base.params import LlmParams
from pipeline.llm.identity import chat_template_text
from pipeline.llm.prompt import Message

MAX_CHARACTERS = 10_000_000  # of a rendered prompt
ROW_SECONDS = 10.0  # for the prompt of one row
CPU_SECONDS = 10  # for a template that is tried, in its own process
MEMORY_BYTES = 2 * 2**30
_MAX_TEMPLATES = 20  # of one model
_WAIT_SECONDS = 120.0  # for the child, on a busy machine
_PARAMETER = "llm.engine_args.chat_template"
_REMEDY = f"Restore the model's own chat template, or name another model or {_PARAMETER}"


def try_chat_templates(params: LlmParams, folders: Sequence[Path], messages: Sequence[Message]) -> int:
    """Render each chat template in a child process that may use 10 s and 2 GB.

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
        found.append((f"params.yaml, field '{_PARAMETER}'", chat_template_text(str(given))))
    templates = {template: where for where, template in reversed(found)}
    if len(templates) > _MAX_TEMPLATES:
        reason = f"the model has more than {_MAX_TEMPLATES} chat templates"
        raise UserError(reason, "Remove those that are not needed", file=folders[0], value=len(templates))
    variables: dict[str, Any] = {}
    for folder in reversed(folders):
        variables |= _special_tokens(folder)
    variables |= params.chat_template_kwargs
    reads: set[str] = set()
    for template, where in templates.items():
        reads |= _try(template, where, {"messages": list(messages), "variables": variables})
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
        where, template = f"params.yaml, field '{_PARAMETER}'", chat_template_text(str(given))
    elif (found := _own_template(folder)) is not None:
        where, template = found
    else:
        return "no chat template: prompts are plain text"
    variables = {**_special_tokens(folder), **params.chat_template_kwargs}
    answer = _answer(template, where, {"messages": list(messages), "variables": variables})
    if answer["refused"] is None:
        return "its chat template takes the prompts"
    reason = answer["refused"]
    if messages[0]["role"] == "system" and answer["by_template"]:
        system, first, *others = messages
        merged = [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *others]
        answer = _answer(template, where, {"messages": merged, "variables": variables})
        if answer["refused"] is None:
            return "its chat template takes no system turn: that text goes before the first user turn"
    reason = f"the chat template refuses the turns of the prompts: {reason}"
    raise UserError(reason, f"Change the prompts, or name another template by {_PARAMETER}", file=where)


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


def _try(template: str, where: str, given: dict[str, Any]) -> set[str]:
    """The names of the variables that the template reads."""
    return set(_answer(template, where, given)["reads"])


def _answer(template: str, where: str, given: dict[str, Any]) -> dict[str, Any]:
    """What came of a template that was tried, as `template_child.py` says it."""
    child = Path(__file__).with_name("template_child.py")
    asked = {"template": template, "seconds": CPU_SECONDS, "bytes": MEMORY_BYTES, **given}
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(child)],  # -P: the names of this folder's modules are Python's own too
            input=json.dumps(asked, default=str),
            capture_output=True,
            text=True,
            timeout=_WAIT_SECONDS,
        )
        killed = -done.returncode
    except subprocess.TimeoutExpired:
        killed = signal.SIGXCPU
    last = "" if killed == signal.SIGXCPU else (done.stderr.strip().splitlines() or [""])[-1]
    if killed == signal.SIGXCPU:
        reason = f"the chat template takes longer than {CPU_SECONDS} s for one row"
    elif killed == signal.SIGKILL or last.startswith("MemoryError"):
        reason = f"the chat template takes more than {MEMORY_BYTES / 2**30:.0f} GB for one row"
    elif killed:
        reason = f"the chat template cannot be tried: {last or f'its process ended with {-killed}'}"
    else:
        answer = json.loads(done.stdout)
        if answer["forbidden"] is not None:
            reason = f"the chat template asks for what its sandbox forbids: {answer['forbidden']}"
        elif (answer["length"] or 0) > MAX_CHARACTERS:
            reason = f"the chat template makes {answer['length']:,} characters of one row"
        else:
            return answer
    raise UserError(reason, _REMEDY, file=where)


def _templates(folder: Path) -> Iterator[tuple[str, str]]:
    """Where each template of a model's folder stands, and its text."""
    for file in sorted([*folder.glob("*.jinja"), *folder.glob("additional_chat_templates/*.jinja")]):
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError("the chat template cannot be read", _REMEDY, file=file, value=error) from None
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
        raise TimeoutError(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
