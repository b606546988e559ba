"""The memory of a process that computes one run after another and keeps some of them."""

from __future__ import annotations

import ctypes

# Parameters of `mallopt`, from glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
FREE, LARGEST = 2**27, 2**25  # bytes: free at the heap's end at most, and the largest piece taken from the heap


def settle() -> None:
    """Let freed memory stay with the process, in one heap for all its threads; called before there are many.

    As it comes, glibc gives what a pass has freed back to the system, and the next one waits for it to be cleared
    again; and each thread frees memory that only some others can use. Other C libraries stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in ((TRIM_THRESHOLD, FREE), (MMAP_THRESHOLD, LARGEST), (ARENA_MAX, 1)):
        mallopt(parameter, value)
