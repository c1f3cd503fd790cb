"""A command as one of the processes that `torchrun` started: one says why they end, and all end with it.

Without that each would print: when one fails, torchrun ends the others; and all meet a fault of the project.
"""

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

_REPLY = "TORCHELASTIC_ERROR_FILE"  # what a process writes there, torchrun's list of failures shows


def follow() -> None:
    """From now on the death of torchrun is a SIGTERM to this process; does nothing without torchrun.

    torchrun ends its processes when it gets a signal itself, but not when it is killed.
    """
    if _REPLY not in os.environ:
        return
    with suppress(OSError, AttributeError):  # it has ended already, or this system has no pidfd
        launcher = os.pidfd_open(os.getppid())
        threading.Thread(target=_end_after, args=(launcher,), name="torchrun", daemon=True).start()


def speaks(line: object) -> bool:
    """Whether this process is to say why it ends: alone, or the first on its machine to fail.

    Args:
        line: what it says, also for torchrun's list.
    """
    reply = os.environ.get(_REPLY)
    if not reply:
        return True
    try:
        # beside the folders of the processes, in that of this attempt
        os.close(os.open(Path(reply).parent.with_name("said"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    except OSError:  # a full disk: rather twice than never
        return True
    with suppress(OSError):
        Path(reply).write_text(json.dumps({"message": str(line), "timestamp": int(time.time())}))
    return True


def _end_after(launcher: int) -> None:
    import select

    select.select([launcher], [], [])
    os.kill(os.getpid(), signal.SIGTERM)
