"""What all tests share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.together import Together
from tests.warm import WITH_VLLM, warm

# a shell starts background jobs with SIGINT ignored, and processes that tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

# the same examples each time, however slow the machine; `--hypothesis-profile default` tries new ones
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

# tests fill and empty caches: never the one that a person's runs share
os.environ.pop("LEMPO_CACHE", None)


def pytest_configure(config: pytest.Config) -> None:
    run = getattr(config, "workerinput", {}).get("testrunuid")
    config.pluginmanager.register(Together(run))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `lempo` and `dvc` that start at once, for tests of what they do together."""
    with warm(tmp_path_factory.mktemp("warm") / "bin") as folder:
        yield folder


@pytest.fixture(scope="session")
def programs_with_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same, and vLLM starts at once too."""
    with warm(tmp_path_factory.mktemp("warm-vllm") / "bin", WITH_VLLM) as folder:
        yield folder
