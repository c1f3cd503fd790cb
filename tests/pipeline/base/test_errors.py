"""Errors of libraries and of the machine as one clear line."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.base import images
from pipeline.base.errors import ADDRESS_SPACE, UserError, check_address_space, of_the_machine, reading
from tests.project import ROOT


@pytest.mark.parametrize(
    "error",
    [
        OSError("thrift"),
        KeyError("a"),
        RecursionError(),
        pa.ArrowInvalid("no"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_raises_names_the_file_and_the_remedy(error: Exception) -> None:
    line = r"^a.parquet: the file is damaged or cannot be read .*Run it$"
    with pytest.raises(UserError, match=line), reading("a.parquet", "Run it"):
        raise error


def test_an_absurd_length_is_no_traceback_and_an_error_for_users_stays() -> None:
    with (
        pytest.raises(UserError, match=r"^a\.npy: memory ran out .*damaged: Run it$"),
        reading("a.npy", "Run it"),
    ):
        np.empty(1 << 50)
    with pytest.raises(UserError, match=r"^b: c"), reading("a.npy", "Run it"):
        raise UserError("c", "d", file="b")


def _torch() -> None:
    torch.empty(1 << 60)


def _arrow() -> None:
    pa.allocate_buffer(1 << 60)


def _numpy() -> None:
    np.empty(1 << 50)


@pytest.mark.parametrize("exhaust", [_torch, _arrow, _numpy])
def test_exhausted_memory_is_known_as_such(exhaust: Any) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        exhaust()
    known = of_the_machine(caught.value)
    assert known is not None and str(known).startswith("memory ran out") and "speed.workers" in str(known)
    assert of_the_machine(RuntimeError("anything else")) is None
    assert of_the_machine(OSError(12, "Cannot allocate memory")) is not None


@pytest.mark.parametrize("kind", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_a_limit_below_what_the_libraries_reserve_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    limits = {resource.RLIMIT_AS: -1, resource.RLIMIT_DATA: -1}
    monkeypatch.setattr(resource, "getrlimit", lambda asked: (limits[asked], -1))
    check_address_space()
    limits[kind] = ADDRESS_SPACE
    check_address_space()
    limits[kind] = 600 << 20
    with pytest.raises(UserError, match=r"below 3 GB .*0\.6 GB.*Raise it"):
        check_address_space()


@pytest.mark.parametrize("megabytes", [300, 700])
def test_a_command_under_a_small_limit_ends_at_once(megabytes: int) -> None:
    limit = megabytes << 20
    done = subprocess.run(
        [sys.executable, "-m", "lempo.cli", "report"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stderr.startswith("error: the limit on memory")


class Deadly:
    """Stands for a path; who looks at it is killed, as by the system when memory runs out."""

    def __rtruediv__(self, folder: Path) -> "Deadly":
        return self

    def exists(self) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return True


def test_a_killed_process_of_a_pool_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    files: list[Any] = [*(tmp_path / str(number) for number in range(80)), Deadly()]
    start = time.monotonic()
    with pytest.raises(Exception, match="terminated abruptly") as caught:
        list(images.probe_all(files, 2))
    known = of_the_machine(caught.value)
    assert known is not None and "a worker process ended" in str(known) and "speed.workers" in str(known)
    assert time.monotonic() - start < 60
