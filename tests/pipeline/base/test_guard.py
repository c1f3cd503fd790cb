"""What a killed process started ends with it, and its sockets and shared memory go."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
PROGRAM = """
import multiprocessing, os, subprocess, sys, time
from multiprocessing import shared_memory
before = subprocess.Popen(["sleep", "60"])
from pipeline.base.guard import MARK, guarded

def child(pipe):
    memory = shared_memory.SharedMemory(create=True, size=1000)
    pipe.send((os.getpid(), memory.name, subprocess.Popen(["sleep", "60"]).pid))
    time.sleep(60)

if __name__ == "__main__":
    guarded()
    guarded()
    time.sleep(0.1)  # the system counts starts in hundredths of a second
    gone = subprocess.Popen(["sleep", "4"])
    pids, names = [subprocess.Popen(["setsid", "sleep", "60"]).pid], []
    time.sleep(2)
    pids.append(subprocess.Popen(["env", "-i", "sleep", "60"]).pid)  # without a mark
    time.sleep(2.5)
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        ours, theirs = context.Pipe()
        context.Process(target=child, args=(theirs,), daemon=True).start()
        pid, name, grandchild = ours.recv()
        pids += [pid, grandchild]
        names.append(name)
    open(os.environ["VLLM_RPC_BASE_PATH"] + "/socket", "w").close()
    gone.wait()
    for pid in (os.getpid(), gone.pid):
        open(f"/dev/shm/sem.loky-{pid}-x", "w").close()
    half_made = f"/dev/shm/sem.{os.getpid() % 10**6:06}"  # as of a process that was killed within sem_open
    open(half_made, "w").close()
    os.link(half_made, f"/dev/shm/sem.mp-{os.getpid()}")
    print(gone.pid, before.pid, *pids, *names, os.environ[MARK], flush=True)
    if "end" not in sys.argv:
        time.sleep(60)
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", ["kill", "end"])
def test_all_that_it_started_ends_and_nothing_is_left(tmp_path: Path, how: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, script, how], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    gone, before, *pids, first, second, folder = process.stdout.readline().split()
    assert len(pids) == 6
    semaphores = (f"sem.loky-{pid}-x" for pid in (process.pid, gone))  # one of them ended before
    half_made = (f"sem.{process.pid % 10**6:06}", f"sem.mp-{process.pid}")
    left = [Path("/dev/shm", name) for name in (first, second, *semaphores, *half_made)]
    left.append(Path(folder))
    if how == "kill":
        assert all(_alive(int(pid)) for pid in pids) and all(path.exists() for path in left)
        process.send_signal(signal.SIGKILL)
    process.wait(20)
    deadline = time.monotonic() + 20
    while any(map(_alive, map(int, pids))) or any(path.exists() for path in left):
        assert time.monotonic() < deadline, [
            *filter(_alive, map(int, pids)),
            *filter(Path.exists, left),
        ]
        time.sleep(0.05)
    assert _alive(int(before))  # started before the guard: not its business
    os.kill(int(before), signal.SIGKILL)


def test_a_folder_whose_guard_was_killed_too_is_deleted_by_the_next_run(tmp_path: Path) -> None:
    dead = tmp_path / f"lempo-{os.getuid()}-dead"
    dead.mkdir()
    (dead / "socket").touch()
    command = "from pipeline.base import guard; guard._LONGEST = 999; guard.guarded(); print('on')"
    said = subprocess.run(
        [sys.executable, "-c", command], env=os.environ | {"TMPDIR": str(tmp_path)}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "on\n" and not dead.exists()


STOPPED = """
import os, signal, subprocess, time
from pipeline.base import guard
guard.STOPPED_S = 3.0
guard.guarded()
time.sleep(0.1)
child = subprocess.Popen(["sleep", "60"])
child.send_signal(signal.SIGSTOP)
print(child.pid, flush=True)
input()
assert child.poll() is None and not guard.ended_stopped()  # this process was stopped, too
since = time.monotonic()
assert child.wait() == -signal.SIGKILL and 2 < time.monotonic() - since
assert guard.ended_stopped() and not guard.ended_stopped()
print("ended", flush=True)
"""


def test_one_that_is_stopped_while_it_is_waited_for_is_killed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdin is not None and process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(signal.SIGSTOP)
    time.sleep(6)
    assert _alive(child)
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate("\n", timeout=60)
    assert said == "ended\n" and process.returncode == 0 and not _alive(child)
