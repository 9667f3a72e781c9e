"""Give back memory that was needed only to start."""

from __future__ import annotations

__all__ = ["release_startup_memory"]

_MADV_DONTNEED = 4


def release_startup_memory() -> None:
    """Unmap the program code that start-up has touched, and return free heap to the kernel; see madvise(2).

    Code pages are read-only copies of files: what is needed again comes back from the page cache at once. A process
    that then mostly waits is some MiB smaller for it.
    """
    import ctypes
    import gc

    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        fields = [line.split(maxsplit=5) for line in file]
    for entry in fields:
        if len(entry) == 6 and entry[1] == "r-xp" and entry[5].startswith("/"):
            start, end = (int(number, 16) for number in entry[0].split("-"))
            libc.madvise(start, end - start, _MADV_DONTNEED)
