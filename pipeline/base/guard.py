"""What a process starts ends with it, however it ends: by itself, by a signal, or killed."""

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing import current_process
from pathlib import Path

from pipeline.base.storage import lock_folder, remove_if_unlocked

MARK = "LEMPO_RUN"
STOPPED_S = 30.0  # that a process may be stopped while this one waits
_SCRIPT = Path(__file__).with_name("guard_process.py")
_LONGEST = 40  # characters of the folder for temporary files: the path of a socket ends at 107
_kept: list[object] = []


def guarded() -> None:
    """From now on, a process of its own watches this one; does nothing where there is no `/proc`.

    Once this process has ended, the guard kills those that it started, and theirs: vLLM's core, a Ray
    cluster, workers. It knows them by the environment variable `LEMPO_RUN`, which they inherit, or by the
    run's temporary folder, which a forked process has open. Then it deletes that folder (vLLM puts its
    sockets there) and the shared memory that only they had.

    Until then it kills those that are stopped (SIGSTOP) for `STOPPED_S` while this process runs: nothing else
    would end the wait for them.
    """
    if _kept or not Path("/proc/self/environ").exists():
        return
    prefix, place = f"lempo-{os.getuid()}-", tempfile.gettempdir()
    if len(place) > _LONGEST and os.access("/tmp", os.W_OK):
        place = "/tmp"
    for old in Path(place).glob(f"{prefix}*"):
        remove_if_unlocked(old)  # its guard was killed too
    descriptor = None
    while descriptor is None:
        folder = tempfile.mkdtemp(prefix=prefix, dir=place)
        descriptor = lock_folder(Path(folder))
    if os.environ.get("VLLM_RPC_BASE_PATH") in (None, os.environ.get(MARK)):
        os.environ["VLLM_RPC_BASE_PATH"] = folder
    os.environ[MARK] = folder
    # of multiprocessing, for the sockets by which workers send tensors; children inherit it
    current_process()._config["tempdir"] = folder  # type: ignore[attr-defined]
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_SCRIPT), str(os.getpid()), folder, str(STOPPED_S)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(descriptor,),  # the folder stays locked until the guard has ended
        start_new_session=True,  # Ctrl-C must not reach it
    )
    _kept.extend((descriptor, guard))


def ended_stopped() -> bool:
    """Whether the guard has killed a process that was stopped, since the last call."""
    with suppress(OSError, KeyError):
        os.unlink(os.path.join(os.environ[MARK], "stopped"))
        return True
    return False
