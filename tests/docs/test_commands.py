"""Every command of the pages is run, or a table says why it cannot be; all are read by their programs."""

import re
import shutil

import pytest

from tests.docs.example import Session
from tests.docs.pages import Command, commands, inline, pages
from tests.docs.parsing import OPTIONAL, parse
from tests.project import Project

# What a test cannot run: page (or none: all), a pattern of the command's beginning, and why.
NOT_RUN = [
    ("", r"make repro", "it is the whole run; tests/test_end_to_end.py does it with small worlds"),
    ("", r"make (test|install)", "it is this suite, and what `make` did before it"),
    ("", r"make (soak|fuzz)", "hours; tests/test_reliability.py and test_fuzz_targets.py do a part"),
    ("", r"make bench|python -m speed", "minutes on an idle machine; tests/speed does a small part"),
    ("", r"(\S+ -m )?pip ", "the environment would change; tests/test_package.py installs the wheel"),
    ("", r"source ", "the environment is that of the tests"),
    ("", r"pytest ", "it is a part of this suite"),
    ("", r"LEMPO_TEST_LLM=", "a model of others"),
    ("", r"export RAY_|ray start", "a cluster; tests/pipeline/llm/test_ray_engine.py does with one machine"),
    ("docs/scaling.md", r"python -m speed", "minutes; tests/speed/test_rows.py makes such a project"),
    ("docs/more-machines.md", r"torchrun --nnodes", "two machines"),
    ("docs/more-machines.md", r"dvc (import-url|remote|push|pull)", "as tests/test_object_storage.py does"),
    ("docs/your-own-data.md", r"python -m embedded", "an hour; tests/embedded trains a small one"),
    ("docs/real-photographs.md", r"python -m embedded|dvc|lempo", "photographs that the project has not"),
    ("docs/install.md", r"lempo check|dvc repro", "minutes; tests/test_package.py does it in a small world"),
    ("docs/check.md", r"lempo doctor", "it imports vLLM, for 11 s; see tests/lempo/test_doctor.py"),
    ("docs/experiments.md", r"dvc exp run .*-n warm|dvc queue logs warm", "tests/test_experiments.py does"),
    ("docs/experiments.md", r"dvc exp run --queue -n language-0.2", "the third experiment of its kind"),
]  # fmt: skip

# What stands in a test for what a page names: page (or none: all), a pattern, what is put there, and why.
INSTEAD = [
    ("", r"\bairplane-test-\d{3}-[ab]-\d\d\b", "test-red", "an image of the small dataset"),
    ("", r"\bsite02-001_120_60\b", "test-red", "an image of the small dataset"),
    ("", r"hf-hub:\S+", "local-dir:models/vlm", "a model that needs no hub"),
    ("", r"\blempo captions small\b", "lempo captions airplane", "a dataset of the project"),
    ("docs/your-archive.md", r"(?<=[ /])airports\b", "airplane", "the name of the small dataset"),
    ("docs/experiments.md", r"=0\.01,0\.02'", "=0.01'", "one experiment of a list costs less than two"),
    ("docs/more-machines.md", r"(?<=--nproc-per-node )8", "2", "a machine with two cores"),
    ("docs/install.md", r"my-archive (?=--dataset)", "another-archive ", "the second of two ways to begin"),
]  # fmt: skip

# Their tables fit a screen of this many columns.
TABLES, COLUMNS = r"dvc (exp show|metrics (diff|show))\b(?!.*--json)", 120


def instead(command: Command) -> str:
    """The text that a test runs for a command."""
    text = command.text
    for page, pattern, put, _ in INSTEAD:
        if page in ("", command.page):
            text = re.sub(pattern, put, text)
    return text


def reason(command: Command) -> str | None:
    """Why a test does not run the command; None if it does."""
    if (program := command.text.split()[0]) in OPTIONAL and not shutil.which(program):
        return f"{program} is not installed"
    tried = ((page, pattern, why) for page, pattern, why in NOT_RUN if page in ("", command.page))
    return next((why for _, pattern, why in tried if re.match(pattern, command.text)), None)


@pytest.mark.parametrize("page", pages())
def test_every_program_knows_its_options(page: str) -> None:
    wrong = []
    for known, mentioned in ((commands(page), False), (inline(page), True)):
        for command in known:
            try:
                parse(command.text, mentioned)
            except AssertionError as error:
                wrong.append(f"{command}\n    {error}")
    assert not wrong, (
        "\n".join(wrong) + "\nCorrect the command. A fence without a language holds commands, one a line; "
        "what is no command (output, a tree of files, a formula) stands in a fence that begins with ```text."
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if any(not reason(c) for c in commands(page))])
def test_the_commands_of_a_page_run_one_after_the_other(page: str, project: Project) -> None:
    session = Session(project)
    try:
        for command in commands(page):
            if not reason(command):
                try:
                    said = session.run(command, instead(command))
                    if re.match(TABLES, command.text):
                        wide = max(map(len, said.splitlines()), default=0)
                        assert wide <= COLUMNS, f"{command}\nprints {wide} columns:\n{said}"
                except AssertionError as error:
                    raise AssertionError(
                        f"{error}\nCorrect the command; or let tests/docs/example.py make what it needs; "
                        "or put something in place of a name by INSTEAD; or, if no test can run it, name it "
                        "in NOT_RUN with the reason (both in tests/docs/test_commands.py)."
                    ) from None
    finally:
        session.close()


def test_both_tables_hold_no_more_than_they_must() -> None:
    every = [command for page in pages() for command in commands(page)]
    for page, pattern, *_ in NOT_RUN:
        there = [command for command in every if page in ("", command.page)]
        assert any(re.match(pattern, command.text) for command in there), f"no page has {pattern!r} any more"
    for page, pattern, *_ in INSTEAD:
        there = [command for command in every if page in ("", command.page)]
        assert any(re.search(pattern, command.text) for command in there), f"no page has {pattern!r} any more"
