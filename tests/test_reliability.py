"""A few trials of every promise that tests/soak attacks, and docs/reliability.md, which lists them."""

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.soak import _page
from tests.soak._modules import is_slow, load, names
from tests.soak._ordinary import ORDINARY

ROOT = Path(__file__).parents[1]
MODULES: list[Any] = [pytest.param(name, marks=pytest.mark.slow if is_slow(name) else ()) for name in names()]


@pytest.mark.parametrize("name", MODULES)
def test_a_few_trials_hold(name: str, tmp_path: Path) -> None:
    module = load(name)
    if not module.TEST_TRIALS:
        pytest.skip("one trial takes minutes; other tests try the same")
    outcome = module.run(module.TEST_TRIALS, 0, tmp_path)
    assert outcome.trials == module.TEST_TRIALS
    assert not outcome.failures, "\n".join(outcome.failures)


def test_the_page_is_what_its_figures_say() -> None:
    entries = _page.read_figures()
    assert _page.PAGE.read_text(encoding="utf-8") == _page.page(entries), (
        "run `python -m tests.soak --render`"
    )
    assert not entries.keys() - set(names()), "figures of trials that are no longer there"


def test_every_promise_is_on_the_page() -> None:
    page = _page.PAGE.read_text(encoding="utf-8")
    for name in names():
        assert f"(`{name}`)" in page


@pytest.mark.parametrize("test", sorted({test for tests in ORDINARY.values() for test in tests}))
def test_the_tests_that_hold_promises_exist(test: str) -> None:
    file, function = test.split("::")
    found = {
        node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)
    }
    assert function in found
