"""How a process that runs a model again and again keeps its memory."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MOST = 2**30  # bytes of one allocation, far more than a layer's output for a batch of images


def keep_freed_memory() -> None:
    """Let this process, and its forks, keep what a layer's output frees, for the next one.

    glibc gives large blocks back at once, and the kernel then hands the next ones out page by page: up to
    half of the time of an image tower on a CPU. Other C libraries stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_THRESHOLD, _MOST)
    mallopt(_TRIM_THRESHOLD, 2 * _MOST - 1)
