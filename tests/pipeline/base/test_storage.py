"""Writers: what a full disk says, what killed ones leave, and that the living are left alone."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.files import replacing, write_json

ROOT = Path(__file__).parents[3]
WRITER = """
import sys, time
from pathlib import Path
from pipeline.base.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    time.sleep(60)
"""


def _writer(path: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.fixture(autouse=True)
def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_seen", set())


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    killed, left = _writer(tmp_path / "a.json")
    living, half = _writer(tmp_path / "b.json")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.exists()
    (tmp_path / ".notes.tmp").write_text("somebody's")
    write_json(tmp_path / "c.json", {})
    assert not left.parent.exists() and half.read_text() == "half"
    living.terminate()
    living.wait()
    assert {path.name for path in tmp_path.iterdir()} == {"c.json", ".notes.tmp", half.parent.name}


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one" and os.listdir(tmp_path) == ["a"]


def test_the_folder_of_a_dead_process_of_the_same_number_is_taken_over(tmp_path: Path) -> None:
    left = tmp_path / f".a.{os.getpid()}.tmp"
    left.mkdir()
    (left / "a").write_text("old")
    storage._seen.add(str(tmp_path))
    write_json(tmp_path / "a", {"new": 1})
    assert os.listdir(tmp_path) == ["a"]


WRITERS = {
    "pyarrow": lambda path: pq.write_table(pa.table({"x": np.random.rand(9999)}), path),
    "polars": lambda path: pl.DataFrame({"x": range(9999)}).write_csv(path),
    "numpy": lambda path: np.save(path.open("wb"), np.zeros(9999)),
    "safetensors": lambda path: save_file({"x": torch.zeros(9999)}, path),
    "text": lambda path: path.write_text("x" * 99999),
}


@pytest.mark.parametrize("library", WRITERS)
def test_a_limit_on_files_is_one_line_and_the_old_file_stays(tmp_path: Path, library: str) -> None:
    (tmp_path / "a").write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(UserError) as caught, replacing(tmp_path / "a") as temporary:
            WRITERS[library](temporary)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / 'a'}: the file") and "run the same command again" in line
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"),
        (errno.EMFILE, "ulimit -n"), (errno.EACCES, "permission"), (errno.EIO, "disk"),
    ],
)  # fmt: skip
def test_each_cause_has_its_words(tmp_path: Path, number: int, word: str) -> None:
    with pytest.raises(UserError, match=word), replacing(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    with pytest.raises(UserError, match="/elsewhere.*" + word), replacing(tmp_path / "a"):
        raise OSError(number, os.strerror(number), "/elsewhere")


@pytest.mark.parametrize("error", [ValueError("odd"), BrokenPipeError(), RuntimeError("[x] failed")])
def test_what_is_no_matter_of_disks_passes(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), replacing(tmp_path / "a"):
        raise error


def test_where_there_are_no_locks_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(storage.fcntl, "flock", refuse)
    left = tmp_path / ".a.1.tmp"
    left.mkdir()
    write_json(tmp_path / "b.json", {})
    assert left.exists() and (tmp_path / "b.json").exists()


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, scandir = [], os.scandir
    monkeypatch.setattr(storage.os, "scandir", lambda path: listed.append(path) or scandir(path))
    for number in range(3):
        write_json(tmp_path / f"{number}.json", {})
    assert [path for path in listed if path == tmp_path] == [tmp_path]


@pytest.mark.parametrize(
    "text",
    ["Err value: Os { code: 24, kind: TooManyOpenFiles }", "I/O error: x (os error 24)", "[errno 24] x"],
)
def test_what_libraries_say_of_a_limit_is_understood(text: str) -> None:
    assert "ulimit -n" in str(storage.storage_error(RuntimeError(text)))


def test_what_no_run_has_used_for_long_goes_from_a_cache(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    for name in ("new", "used", "old"):
        (tmp_path / name).write_text("12345")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("used", "old", "other", "link"):
        os.utime(tmp_path / name, (0, 0), follow_symlinks=False)
    (tmp_path / ".left.1.tmp").mkdir()
    assert storage.size_of(tmp_path) >= 15
    storage.use(tmp_path / "used")
    storage.remove_unused(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["new", "used"]
    storage.remove_unused(tmp_path, days=0)
    assert os.listdir(tmp_path) == [] and storage.size_of(tmp_path) == 0
    storage.remove_unused(tmp_path / "absent")
    assert storage.size_of(tmp_path / "absent") == 0


def test_a_file_is_damaged_if_its_bytes_can_be_read_or_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert storage.is_damaged(tmp_path / "a") and storage.is_damaged(tmp_path / "link")
    assert storage.is_damaged(tmp_path) and not storage.is_damaged(tmp_path / "b")
