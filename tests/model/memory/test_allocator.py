"""Freed memory stays with the process; a process of its own, because there is no way back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, threading
import numpy as np
from model.memory import allocator

def passes():
    for _ in range(20):
        np.ones(2**18, np.float64)  # 2 MB, in pages of the usual size

if sys.argv[1] == "settled":
    allocator.retain_freed_memory()
passes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    thread = threading.Thread(target=passes)
    thread.start()
    thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """How often 100 passes in threads of their own wait for memory."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_one_thread_freed_another_takes_without_waiting_for_the_system() -> None:
    assert 10 * faults("settled") < faults("as it comes")
