"""SIGTERM and Ctrl-C at any moment of a command: one sentence, a status, and a state that goes on.

Clouds and schedulers send SIGTERM before they take a machine. Whatever a command does, it then ends
within `GRACE` seconds with status 75, so that a loop that starts it again goes on. Python runs a
signal's handler only between two steps of the main thread, which may compile or wait for another
host for minutes; so a thread of its own listens too, and ends the process where the main thread
does not. A training first saves its step (`put_off`).

Only the standard library is imported: a command listens before the imports that take seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import NoReturn

from emola_jax.errors import Preempted

GRACE = 5.0
"""Seconds that the main thread has to end by itself after SIGTERM."""

_ONCE = 1.0
"""Seconds in which a repeated signal counts as one: a scheduler tells every process of a group, and
so does a process its children."""

SILENCE = 25
"""Seconds that a host of a run may be silent, if its config does not say; see `host_watch.join`."""

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""

GOES_ON = 'what is done is on disk, and the same command goes on from there'
BY_SIGTERM, BY_CTRL_C = f'stopped by SIGTERM; {GOES_ON}', f'stopped by Ctrl-C; {GOES_ON}'


class _Signals:
    """What this process does about SIGTERM and SIGINT.

    Attributes:
      name: of the command, for its sentence.
      is_command: whether the process is that command, and no program that calls it.
      guarded: whether the main thread is where an exception becomes a sentence.
      ended: whether the command has ended by itself; what is left is to shut down.
      put_off: called (in the listening thread) instead of ending the command.
      told: whether SIGTERM came.
    """

    def __init__(self, name: str, is_command: bool):
        self.name, self.is_command = name, is_command
        self.guarded = self.ended = self.told = False
        self.put_off: Callable[[], None] | None = None
        self._raised: set[int] = set()
        self._timer: threading.Timer | None = None
        self._closed = False

    def handle(self, number: int, _: FrameType | None) -> None:
        """In the main thread; unwinds it, so that what is half written is removed."""
        self.told |= number == signal.SIGTERM
        if self.ended or (number == signal.SIGTERM and self.put_off is not None):
            return
        if not self.guarded:
            self.leave(number)
        if number in self._raised:  # the main thread is on its way out already
            return
        self._raised.add(number)
        raise Preempted(_sentence(number)) if number == signal.SIGTERM else KeyboardInterrupt

    def listen(self, signals: int) -> None:
        """In a thread of its own; the bytes that it reads are numbers of signals."""
        first: dict[int, float] = {}
        while read := os.read(signals, 1):
            number, now = read[0], time.monotonic()
            if number not in _NUMBERS:
                continue
            if now - first.setdefault(number, now) > _ONCE:
                self.leave(number)
            elif now == first[number] and number == signal.SIGTERM:
                self.told = True
                if self.put_off is not None:
                    self.put_off()
                else:
                    self.insist()

    def insist(self) -> None:
        """Ends the process in a while, if the main thread does not."""
        if self._closed or self._timer is not None:
            return
        self._timer = threading.Timer(GRACE, self.leave, [signal.SIGTERM])
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """The process goes on without listening."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def leave(self, number: int) -> None:
        """Ends the process at once."""
        status = Preempted.EXIT_STATUS if number == signal.SIGTERM else INTERRUPTED
        end_process(status, f'{self.name}: {_sentence(number)}')


_signals: _Signals | None = None


def listen_as_command(argv: Sequence[str]) -> None:
    """Listens from here to the end of the process, if that is `python -m emola_jax.…`.

    Called when this package is imported, before the imports that take seconds.
    """
    module = next((text for text in argv if text.startswith('emola_jax')), '')
    if module and _can_listen():
        _install('emola_jax' if module == 'emola_jax.main' else module, is_command=True)


@contextlib.contextmanager
def _listening(name: str) -> Iterator[_Signals | None]:
    """Listens for a while, in a process that does not do so anyway."""
    if _signals is not None or not _can_listen():
        yield _signals
        return
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    pipe = _install(name)
    installed = _signals
    try:
        yield installed
    finally:
        _forget()
        if installed is not None:
            installed.close()
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(pipe)


def _can_listen() -> bool:
    return _signals is None and threading.current_thread() is threading.main_thread()


def _install(name: str, *, is_command: bool = False) -> int:
    """Returns the pipe that the system writes signals into; closing it ends the thread."""
    global _signals
    _signals = _Signals(name, is_command)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_signals.listen, args=[reader], name='signals', daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    take_signals()
    os.register_at_fork(after_in_child=_forget)
    return writer


_NUMBERS = (signal.SIGTERM, signal.SIGINT)


def take_signals() -> None:
    """Has SIGTERM and SIGINT handled here, also after a library has asked for them.

    One that is ignored (`nohup`, a shell's `&`) stays ignored.
    """
    if _signals is None:
        return
    for number in _NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _signals.handle)


def _forget() -> None:
    """In a forked child: it has no listening thread, and shares the parent's pipe."""
    global _signals
    if _signals is not None:
        _signals = None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def guarded(name: str) -> Iterator[None]:
    """What runs in it ends with `Preempted` or `KeyboardInterrupt` at a signal.

    Both are raised wherever the main thread is; the caller makes a sentence of them. Once this has
    ended by itself, signals no longer matter.
    """
    with _listening(name) as signals:
        if signals is None:  # in another thread than the main one
            yield
            return
        signals.name, signals.guarded, signals.ended = name, True, False
        try:
            yield
        finally:
            signals.guarded, signals.ended = False, True
            if signals.is_command:
                _ignore_signals()


def _ignore_signals() -> None:
    """Python gives its handlers back while it shuts down; an ignored signal stays ignored."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def put_off(call: Callable[[], None] | None = None) -> Iterator[Callable[[], bool]]:
    """SIGTERM does not end what runs in it, which asks by itself whether it came.

    Args:
      call: called once SIGTERM comes, in another thread.

    Yields:
      What says whether SIGTERM came.

    Raises:
      Preempted: it came, and the block ended by itself.
    """
    with _listening('emola_jax') as signals:
        if signals is None:
            yield lambda: False
            return
        signals.put_off = call or _nothing
        try:
            yield lambda: signals.told
        finally:
            signals.put_off = None
        if signals.told:
            signals.insist()
            raise Preempted(BY_SIGTERM)


def came() -> bool:
    """Whether SIGTERM came."""
    return _signals is not None and _signals.told


def name() -> str:
    """The command, as its sentences begin."""
    return 'emola_jax' if _signals is None else _signals.name


def put_off_for_good(call: Callable[[], None]) -> None:
    """From here on SIGTERM calls `call`, in another thread, which ends the process in its time."""
    if _signals is not None:
        _signals.put_off = call
        if _signals.told:
            call()


def _nothing() -> None:
    pass


def _sentence(number: int) -> str:
    return BY_SIGTERM if number == signal.SIGTERM else BY_CTRL_C


def end_command(status: int, sentence: str) -> NoReturn:
    """Ends a command's process now, after which no library has a word about files not closed.

    Raises:
      SystemExit: the process is no command, but a program that calls one.
    """
    if _signals is not None and _signals.is_command:
        end_process(status, sentence)
    sys.exit(sentence)


_ending = threading.Lock()


def end_process(status: int, sentence: str) -> NoReturn:
    """Ends the process now, from any thread, without waiting for any other: files are whole anyway.

    Who comes second, while the first is still at it, waits for the end.
    """
    with _ending:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(Exception):
            if 'multiprocessing' in sys.modules:
                for child in sys.modules['multiprocessing'].active_children():
                    child.kill()
        bars = getattr(sys.modules.get('tqdm'), 'tqdm', None)
        start = '\n' if getattr(bars, '_instances', None) else ''  # a progress bar has no end
        with contextlib.suppress(OSError):
            os.write(2, f'{start}{sentence}\n'.encode(errors='backslashreplace'))
        os._exit(status)
