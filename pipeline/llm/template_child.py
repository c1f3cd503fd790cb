"""Renders one chat template in a process with little time and memory: a template is a program from elsewhere.

`chat_templates.py` starts it and hands it JSON on its standard input. It imports nothing of this project.
"""

import json
import resource
import sys
from typing import Any


def main() -> None:
    """Render the template of the input within its seconds and bytes, and print what came of it as JSON.

    `length`: characters of the text, null where the template refuses these messages. `forbidden`: what it
    asked for that the sandbox does not allow, or null. `reads`: the names of the variables that it reads.
    `refused`: why it refuses these messages, or null; `by_template`: whether the template itself says so.
    """
    asked = json.load(sys.stdin)
    from jinja2.exceptions import SecurityError, TemplateError
    from jinja2.meta import find_undeclared_variables
    from transformers.utils.chat_template_utils import _compile_jinja_template

    spent = resource.getrusage(resource.RUSAGE_SELF)  # the imports are not the template's
    seconds = int(spent.ru_utime + spent.ru_stime) + 1 + asked["seconds"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (asked["bytes"], asked["bytes"]))
    answer: dict[str, Any] = {"length": None, "forbidden": None, "reads": [], "refused": None}
    try:
        template = _compile_jinja_template(asked["template"])
        answer["reads"] = sorted(find_undeclared_variables(template.environment.parse(asked["template"])))
        text = template.render(messages=asked["messages"], add_generation_prompt=True, **asked["variables"])
        answer["length"] = len(text)
    except MemoryError:
        raise
    except SecurityError as error:
        answer["forbidden"] = str(error)
    except Exception as error:
        answer["refused"] = f"{type(error).__name__}: {error}"
        answer["by_template"] = isinstance(error, TemplateError)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
