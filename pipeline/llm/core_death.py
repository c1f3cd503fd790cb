"""The death of vLLM's processes ends the wait for their next output; vLLM itself would wait for ever."""

import signal
import time
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from queue import Queue
from threading import Thread
from typing import Any

EXIT_S = 1.0


class CoreWatch:
    """Watches the processes of an engine core from its construction on, by a thread that ends with them.

    Args:
        core: the client of the engine core. If the core runs in this process, there is nothing to watch.
    """

    def __init__(self, core: Any) -> None:
        manager = getattr(getattr(core, "resources", None), "engine_manager", None)
        self._processes: list[BaseProcess] = list(getattr(manager, "processes", ()))
        if self._processes:
            Thread(target=_report, args=(self._processes, core.outputs_queue), daemon=True).start()

    def killed_by(self) -> signal.Signals | None:
        """The signal that ended one of the processes, if one did."""
        end = time.monotonic() + EXIT_S
        # an end is heard a moment before its exit code is there, or while another thread takes it
        while any(process.exitcode is None for process in self._processes) and time.monotonic() < end:
            time.sleep(0.01)
        codes = [process.exitcode or 0 for process in self._processes]
        # vLLM ends the others by SIGTERM
        first = max((code for code in codes if code < 0), default=None)
        return None if first is None else signal.Signals(-first)


def _report(processes: list[BaseProcess], outputs: Queue[Any]) -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    wait([process.sentinel for process in processes])
    outputs.put(EngineDeadError())  # behind what came before; after a normal end nobody reads it
