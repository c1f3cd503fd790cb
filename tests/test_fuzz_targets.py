"""Every reader takes sound bytes, and refuses odd ones with file and remedy; what was found stays mended."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutated
from tests.fuzz.target import is_clean, is_read
from tests.fuzz.targets import FOUND, TARGETS, found
from tests.soak._limit import limited


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_sound(name: str, tmp_path: Path) -> None:
    target = TARGETS[name](tmp_path)
    assert is_read(target, target.seeds[0])
    for seed in target.seeds[1:]:
        is_read(target, seed)


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_stays_mended(name: str, tmp_path: Path) -> None:
    target = TARGETS[name](tmp_path)
    for path in found(name):
        is_read(target, path.read_bytes())


def test_what_was_found_belongs_to_a_target() -> None:
    assert {path.name for path in FOUND.iterdir()} <= TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_odd_bytes_are_read_or_refused(name: str, tmp_path: Path) -> None:
    target = TARGETS[name](tmp_path)

    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(target.seeds) - 1), st.integers(0, 2**32))
    def attempt(seed: int, number: int) -> None:
        is_read(target, mutated(target.seeds[seed], random.Random(number)))

    attempt()


@pytest.mark.timeout(300)  # some libraries pass over the signal of `limited`
@pytest.mark.parametrize(
    "put", [os.mkfifo, lambda file: file.symlink_to("/dev/zero")], ids=["pipe", "device"]
)
@pytest.mark.parametrize("name", TARGETS)
def test_a_pipe_or_a_device_in_place_of_a_file_holds_nothing_up(
    name: str, put: Callable[[Path], None], tmp_path: Path
) -> None:
    target = TARGETS[name](tmp_path)
    for file in target.files:
        sound = file.rename(file.with_name("sound"))
        put(file)
        with limited(60):
            is_clean(lambda file=file: target.read(file))  # type: ignore[misc]
        file.unlink(missing_ok=True)  # it may be set aside
        sound.rename(file)
