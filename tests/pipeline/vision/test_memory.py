import resource
import subprocess
import sys

import pytest

BLOCKS = """
import resource, sys
from pipeline.vision.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        b"x" * 100_000_000  # freed at once; more than glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _measured(how: str) -> tuple[int, int]:
    """Page faults of twenty large blocks, and the most memory in KiB."""
    done = subprocess.run([sys.executable, "-c", BLOCKS, how], check=True, capture_output=True, text=True)
    faults, peak = map(int, done.stdout.split())
    return faults, peak


@pytest.mark.skipif("glibc" not in __import__("os").confstr("CS_GNU_LIBC_VERSION"), reason="not glibc")
def test_freed_memory_is_used_again_and_no_more_of_it_is_taken() -> None:
    pages = 20 * 100_000_000 // resource.getpagesize()
    (given_back, peak), (kept, peak_kept) = _measured("give back"), _measured("keep")
    assert kept < pages / 10 and kept < given_back
    assert peak_kept < peak + 64_000
