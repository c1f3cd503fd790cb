"""The machine that a command runs on: its processor, cores and memory."""

import os
import platform

from pipeline.base.cores import usable_cores


def machine() -> str:
    """The machine in words, as unit costs name it."""
    return f"{cpu_name()}, {usable_cores()} cores"


def cpu_name() -> str:
    """The processor's name, as the system calls it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def memory() -> int:
    """Bytes of memory of this machine, or of the group of processes that it is limited to."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit:
            return min(total, int(limit.read()))
    except (OSError, ValueError):  # there is no limit
        return total
