"""Renders one chat template in a process with little time and memory: a template is a program from elsewhere.

`template_process.py` starts it and asks it questions. It imports nothing of this project.
"""

import json
import resource
import sys
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.meta import find_undeclared_variables
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template


def main() -> None:
    """Answer every line of the input by a line; each is a JSON object.

    The first line has `template` and `bytes`, the most memory. The answer is empty: it is ready. A question
    with `messages` is for a text, another one for names; `seconds` are those that it may take.
    """
    given = json.loads(sys.stdin.readline())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (given["bytes"], given["bytes"]))
    _say({})
    for line in sys.stdin:
        asked = json.loads(line)
        _limit_seconds(asked["seconds"])
        try:
            _say(_text(given["template"], asked) if "messages" in asked else _names(given["template"]))
        except MemoryError:
            _say({"memory": True})


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _limit_seconds(seconds: float) -> None:
    """The system ends this process after so many more seconds of a core, whatever it does."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    end = int(spent.ru_utime + spent.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (end if most == resource.RLIM_INFINITY else min(end, most), most))


def _names(template: str) -> dict[str, Any]:
    """`names`: the variables that the template reads; none where it is no template."""
    try:
        parsed = _compile_jinja_template(template).environment.parse(template)
    except TemplateError:
        return {"names": []}
    return {"names": sorted(find_undeclared_variables(parsed))}


def _text(template: str, asked: dict[str, Any]) -> dict[str, Any]:
    """`text` of the `messages`, as a tokenizer writes it; `length` alone if that is above `characters`.

    Or `error`, why there is none; `forbidden`: whether the sandbox does not allow what it asks for;
    `by_template`: whether the template itself, or its language, refuses the messages.
    """
    try:
        (text,), _ = render_jinja_template(
            conversations=[asked["messages"]], chat_template=template, **asked["variables"]
        )
    except MemoryError:
        raise
    except Exception as error:
        plain = type(error) in (SecurityError, TemplateError)
        return {
            "error": (str(error) if plain else f"{type(error).__name__}: {error}")[:1000],
            "forbidden": isinstance(error, SecurityError),
            "by_template": isinstance(error, TemplateError),
        }
    return {"length": len(text)} if len(text) > asked["characters"] else {"text": text}


if __name__ == "__main__":
    main()
