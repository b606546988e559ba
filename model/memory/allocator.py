"""Settings of the C library's memory allocator for a process that computes many passes in many threads."""

from __future__ import annotations

import ctypes

# Parameters of `mallopt`, from glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
TRIM_BYTES, MMAP_BYTES = 2**27, 2**25  # free memory kept at the heap's end; size from which memory is mapped instead


def retain_freed_memory() -> None:
    """Make glibc keep freed memory in the process, in one arena for all threads. Call it before threads are started.

    By default glibc returns the memory that a pass has freed to the system, and the next pass waits for new pages to be
    cleared; and memory freed in one thread's arena is not available to others. Has no effect on other C libraries.
    Source: `man 3 mallopt`.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in ((TRIM_THRESHOLD, TRIM_BYTES), (MMAP_THRESHOLD, MMAP_BYTES), (ARENA_MAX, 1)):
        mallopt(parameter, value)
