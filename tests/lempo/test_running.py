"""Which command waits for which; and the whole command under a lock, a signal and a full disk."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lempo.running import _READS
from pipeline.base.run_lock import run_locks

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def _made_by(path: str) -> set[str]:
    """The stages whose outputs, metrics and plots a path of dvc.yaml names."""
    found = set()
    for name, stage in STAGES.items():
        made = [out if isinstance(out, str) else next(iter(out)) for out in stage["outs"]]
        made += [next(iter(each)) for kind in ("metrics", "plots") for each in stage.get(kind, ())]
        if any(f"{path}/".startswith(f"{out}/") or f"{out}/".startswith(f"{path}/") for out in made):
            found.add(name)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_locks_what_dvc_says_that_it_reads(stage: str) -> None:
    read = set().union(*map(_made_by, STAGES[stage]["deps"]))
    assert set(_READS[stage]) == read


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lempo.cli", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("end", [0, signal.SIGINT, signal.SIGTERM])
def test_a_second_run_names_the_first_and_waits_or_is_ended(folder: Path, end: int) -> None:
    with run_locks(folder / ".lempo/locks", [], ["corpus"]):
        second = _start(folder, "corpus")
        assert second.stderr is not None
        said = second.stderr.readline()
        assert said.startswith(f"the output of corpus is in use by process {os.getpid()} (")
        assert second.poll() is None and not (folder / "data").exists()
        if end:
            second.send_signal(end)
            assert second.wait(10) == 128 + end
            assert (
                second.stderr.read() == f"{'interrupted' if end == signal.SIGINT else 'ended by SIGTERM'}\n"
            )
    assert second.wait(60) == (128 + end if end else 0)
    assert (folder / "data/corpus/parks/images.parquet").exists() == (not end)
