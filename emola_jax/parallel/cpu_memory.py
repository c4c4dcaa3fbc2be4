"""Memory of programs that run on a CPU, as far as the C library's allocator decides it.

XLA allocates a program's temporaries again at every call. By default glibc maps and zeroes them
page by page each time, a fifth of what a training step of a small model costs. Told to keep what is
freed, it needs a gap that fits them again, or else the process grows by them once more.

Between programs, and now and then within a run of one, `give_back` undoes what that costs.

Nothing here does anything with another C library, or changes a number.
"""

from __future__ import annotations

import ctypes
import functools
import platform

import jax

_ARENAS, _MAPPED_CHUNKS, _TRIM_ABOVE = -8, -4, -1
"""M_ARENA_MAX, M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h; a threshold of -1 is none."""

_SPARE = 2**26
"""Bytes by which a gap is larger than what it is for: small blocks end up in it, too."""


def keep() -> None:
    """Has the allocator keep what is freed, in one heap, for the next call.

    For a process with one CPU device, which from now on runs a program before the call returns:
    otherwise, or with more of them, the temporaries of two calls may overlap and need two gaps.
    """
    library = _glibc()
    if library is not None:
        jax.config.update('jax_cpu_enable_async_dispatch', False)
        for option, value in ((_ARENAS, 1), (_MAPPED_CHUNKS, 0), (_TRIM_ABOVE, -1)):
            library.mallopt(option, value)


def compile_apart(function: jax.stages.Wrapped, *args: object) -> int:
    """Compiles a jitted function for a CPU before it is called with these arguments.

    What was freed before and what the compiler leaves behind are given back, so that they and the
    temporaries don't add up; and a gap is made for them, of addresses alone. The call finds the
    compiled program.

    Returns:
      Bytes of the program's temporaries on a device; 0 elsewhere than on a CPU, where nothing is
      compiled ahead.
    """
    library = _glibc()
    if library is None or jax.default_backend() != 'cpu':
        return 0
    give_back()
    program = function.lower(*args).compile()
    give_back()
    temporaries = int(getattr(program.memory_analysis(), 'temp_size_in_bytes', 0))
    gap = library.malloc((temporaries + _SPARE) * jax.local_device_count())
    library.malloc(_SPARE)  # stays, and so the gap is one; neither is touched or takes memory
    library.free(gap)
    return temporaries


def give_back() -> None:
    """Returns all freed memory to the system; what is needed again is mapped again."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is glibc."""
    if platform.libc_ver()[0] != 'glibc':
        return None
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    return library
