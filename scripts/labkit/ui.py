# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the user sees: one line per step with the time so far, and errors that say where to look."""

import subprocess
import sys
import threading
import time
from pathlib import Path

HEARTBEAT_SECONDS = 10
TAIL_LINES = 25


class LabError(Exception):
    """A failure that the user can act on; its text is all that is shown."""


def tail(path, lines=TAIL_LINES):
    """The last lines of a log, for an error message."""
    try:
        text = Path(path).read_bytes()[-20000:].decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def check(*argv, **kwargs):
    """Runs a quick program that prints nothing of interest unless it fails; returns its output."""
    try:
        result = subprocess.run(argv, capture_output=True, check=False, **kwargs)
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}; scripts/setup installs what is missing"
                       ) from error
    if result.returncode:
        text = (result.stderr or result.stdout).decode(errors="replace").strip()
        raise LabError(f"{argv[0]} failed with status {result.returncode}: {text[-2000:]}")
    return result.stdout


class Console:
    """Prints steps; several threads may use one."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def elapsed(self):
        """Seconds since this program started its work."""
        return time.monotonic() - self._start

    def say(self, part, text):
        """Prints one line about one part of the work."""
        with self._lock:
            print(f"[{self.elapsed():6.1f} s] {part:<12} {text}", file=self._stream, flush=True)

    def run(self, part, argv, log, **kwargs):
        """Runs a program with its output in a log, showing a sign of life now and then."""
        log = Path(log)
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as out:
            out.write(f"\n$ {' '.join(map(str, argv))}\n".encode())
            out.flush()
            try:
                process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT,
                                           stdin=subprocess.DEVNULL, **kwargs)
            except OSError as error:
                raise LabError(f"{part}: {argv[0]}: {error.strerror}; scripts/setup installs what "
                               "is missing") from error
            try:
                self._wait(part, process, log)
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if process.returncode:
            raise LabError(f"{part}: {Path(argv[0]).name} failed with status "
                           f"{process.returncode}; the end of {log}:\n{tail(log)}")

    def _wait(self, part, process, log):
        while True:
            try:
                process.wait(timeout=HEARTBEAT_SECONDS)
                return
            except subprocess.TimeoutExpired:
                last = tail(log, 1).strip()
                self.say(part, f"… {last[:70]}")
