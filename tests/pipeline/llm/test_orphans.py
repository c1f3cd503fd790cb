"""A process killed with -9 takes the processes along that it started for its engine, and no others."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = f"""
import subprocess, sys, time
sys.path.insert(0, {str(ROOT)!r})
from pipeline.llm.orphans import Watch
def child():
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return process, process.pid, int(process.stdout.readline())
earlier = child()
watch = Watch()
time.sleep(1)
engine = child()
time.sleep(1.5)
if "loading" not in sys.argv:
    watch.loaded()
    time.sleep(0.5)
later = child()
if "close" in sys.argv:
    watch.close()
print(*earlier[1:], *engine[1:], *later[1:], flush=True)
time.sleep(60)
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(("mode", "gone"), [("", [2, 3]), ("close", [])])
def test_what_ends_with_a_killed_process(mode: str, gone: list[int]) -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, mode], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 6 and all(_alive(pid) for pid in pids)
    try:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 20
        # the children that wait for input end by themselves; their own children do not
        while any(_alive(pids[i]) for i in gone) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        assert [i for i in (1, 3, 5) if not _alive(pids[i])] == [i for i in gone if i % 2]
    finally:
        for pid in pids:
            if _alive(pid):
                os.kill(pid, signal.SIGKILL)
