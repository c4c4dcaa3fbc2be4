"""The process behind a `measure.Side`: python -m benchmarks.worker FD.

It is sent ('prepare', 'module:function', spec), which makes the call that ('turn', arguments) then
times, and at last ('end',). Memory that it reports at the end:

    peak         bytes that were resident at most, imports, weights and compilation included
    device_peak  bytes that a device's own allocator held at most, where it tells
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def main() -> None:
    """Does what it is sent, until 'end' or until whoever asked is gone."""
    pipe: Connection = Connection(int(sys.argv[1]))
    call: Callable[..., Any] = dict
    try:
        while True:
            what, *args = pipe.recv()
            if what == 'end':
                pipe.send({'peak': peak_bytes(), **_device_peak()})
                return
            if what == 'prepare':
                call, facts = _prepare(*args)
                pipe.send(facts)
            else:
                pipe.send(_timed(call, *args))
    except EOFError:
        pass
    except Exception:
        pipe.send({'error': traceback.format_exc()})


def _prepare(work: str, spec: Figures) -> tuple[Callable[..., Any], Figures]:
    module, _, function = work.partition(':')
    prepared = getattr(importlib.import_module(module), function)(spec)
    return prepared if isinstance(prepared, tuple) else (prepared, {})


def _timed(call: Callable[..., Any], args: tuple[Any, ...]) -> Figures:
    cpu, wall = time.process_time(), time.perf_counter()
    found = call(*args)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {'wall': wall, 'cpu': cpu, **(found if isinstance(found, dict) else {})}


def peak_bytes() -> int:
    """Most bytes that were resident so far.

    Not `getrusage`: that of a new process starts with what its parent held.
    """
    status = Path('/proc/self/status')
    if status.is_file():
        fields = dict(line.split(':', 1) for line in status.read_text().splitlines())
        return int(fields['VmHWM'].split()[0]) * 1024
    scale = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _device_peak() -> Figures:
    """Of the libraries that this process has loaded."""
    peaks = []
    if 'jax' in sys.modules:
        stats = sys.modules['jax'].local_devices()[0].memory_stats() or {}
        peaks.append(stats.get('peak_bytes_in_use', 0))
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_available():
        peaks.append(torch.cuda.max_memory_allocated())
    return {'device_peak': max(peaks)} if any(peaks) else {}


if __name__ == '__main__':
    main()
