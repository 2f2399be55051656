# SPDX-License-Identifier: LGPL-2.1-or-later
"""An interactive shell in dom0, on this terminal."""

import os
import selectors
import shutil
import signal
import struct
import sys
import termios
import tty

from .ui import LabError


def interact(lab, command):
    """Runs a command (default: a login shell) on a terminal in dom0; returns its status."""
    if not sys.stdin.isatty():
        raise LabError("shell needs a terminal; use scripts/lab run")
    columns, rows = shutil.get_terminal_size()
    term = os.environ.get("TERM", "vt100")
    argv = ["env", f"TERM={term}", *(command or ["/bin/bash", "-l"])]
    session = lab.session(argv, (rows, columns))
    saved = termios.tcgetattr(sys.stdin)
    signal.signal(signal.SIGWINCH, lambda *_: _resize(session))
    try:
        tty.setraw(sys.stdin)
        return _relay(session)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
        session.close()


def _resize(session):
    columns, rows = shutil.get_terminal_size()
    session.send(b"W", struct.pack(">HH", rows, columns))


def _relay(session):
    with selectors.DefaultSelector() as selector:
        selector.register(session, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            while (frame := session.take()) is not None:
                kind, data = frame
                if kind == b"S":
                    return struct.unpack(">I", data)[0]
                os.write(sys.stdout.fileno(), data)
            for key, _ in selector.select():
                if key.fileobj is session:
                    session.receive()
                elif data := os.read(sys.stdin.fileno(), 4096):
                    session.send(b"I", data)
