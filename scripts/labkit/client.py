# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs commands in a booted lab's dom0.  Tests import Lab from here."""

import json
import os
import selectors
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .ui import LabError

HANDSHAKE_SECONDS = 30
CHUNK = 65536
NOT_BOOTED = 125
TIMED_OUT = 124


class NotBooted(LabError):
    """There is no lab of that name to talk to."""


class CommandTimeout(LabError):
    """A command did not end in time; it was killed.  Its output so far is in .output."""

    def __init__(self, text, output):
        super().__init__(text)
        self.output = output


@dataclass(frozen=True)
class Result:
    """How a command in dom0 ended; output is standard and error output as they came."""

    status: int
    data: bytes

    @property
    def output(self):
        """The output as text."""
        return self.data.decode(errors="replace")


def _frame(kind, data=b""):
    return kind + struct.pack(">I", len(data)) + data


class Session:
    """One command in dom0: frames over one connection (agent.c describes them)."""

    def __init__(self, port, token, argv, terminal=None):
        self._socket = socket.create_connection(("127.0.0.1", port), HANDSHAKE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        request = _frame(b"T", token.encode())
        request += b"".join(_frame(b"A", os.fsencode(argument)) for argument in argv)
        if terminal:
            request += _frame(b"P", struct.pack(">HH", *terminal))
        self._socket.sendall(request + _frame(b"X"))
        kind, _ = self.read(HANDSHAKE_SECONDS)
        if kind != b"H":
            raise LabError("dom0's agent refused the command")

    def fileno(self):
        """For selectors."""
        return self._socket.fileno()

    def close(self):
        """Ends the connection, and with it the command if it still runs."""
        self._socket.close()

    def send(self, kind, data=b""):
        """Sends one frame."""
        self._socket.settimeout(None)
        self._socket.sendall(_frame(kind, data))

    def send_some(self, data):
        """Sends what fits now, without waiting; returns how much that was."""
        self._socket.settimeout(0)
        return self._socket.send(data)

    def take(self):
        """A frame that has already been received as a whole, or None."""
        if len(self._buffer) < 5:
            return None
        [size] = struct.unpack_from(">I", self._buffer, 1)
        if len(self._buffer) < 5 + size:
            return None
        kind, data = bytes(self._buffer[:1]), bytes(self._buffer[5:5 + size])
        del self._buffer[:5 + size]
        return kind, data

    def receive(self, timeout=None):
        """Waits for some bytes."""
        self._socket.settimeout(timeout)
        data = self._socket.recv(CHUNK)
        if not data:
            raise LabError("the connection to dom0 broke")
        self._buffer += data

    def read(self, timeout=None):
        """The next frame."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (frame := self.take()) is None:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.001)
            self.receive(left)
        return frame


class Lab:
    """A lab by its name."""

    def __init__(self, name="default"):
        self.name = name
        self.folder = cache.root() / "run" / name
        self.share = self.folder / "share"
        self.console_log = self.folder / "console.log"

    @property
    def state(self):
        """What boot noted about this lab: pid, port, kernel…; empty if it never booted."""
        try:
            return json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def running(self):
        """Whether this lab's QEMU lives."""
        pid = self.state.get("pid")
        try:
            return bool(pid) and str(self.folder).encode() in Path(
                f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def session(self, argv, terminal=None):
        """Starts a command."""
        if not self.running():
            raise NotBooted(f"the lab \"{self.name}\" is not booted: use scripts/lab boot")
        state = self.state
        try:
            return Session(state["port"], state["token"], argv, terminal)
        except OSError as error:
            raise NotBooted(f"dom0 of the lab \"{self.name}\" does not answer ({error}); "
                            f"its console: {self.console_log}") from error

    def run(self, command, *more, timeout=None, data=b"", output=None):
        """Runs a shell line (one argument) or a program (several) and waits for its end.

        data is its standard input.  output, if given, is called with each piece of output and
        whether it is error output; the pieces are then not collected.
        """
        argv = [command, *more] if more else ["/bin/bash", "-c", command]
        session = self.session(argv)
        try:
            return _exchange(session, data, output, timeout)
        finally:
            session.close()


def _exchange(session, data, output, timeout):
    """Feeds a command and takes what it writes, both at once, until it ends."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pieces = []
    outgoing = b"".join(_frame(b"I", data[start:start + CHUNK])
                        for start in range(0, len(data), CHUNK)) + _frame(b"C")
    outgoing = memoryview(outgoing)
    with selectors.DefaultSelector() as selector:
        selector.register(session, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while True:
            while (frame := session.take()) is not None:
                kind, content = frame
                if kind == b"S":
                    return Result(struct.unpack(">I", content)[0], b"".join(pieces))
                if output:
                    output(content, kind == b"R")
                else:
                    pieces.append(content)
            left = None if deadline is None else deadline - time.monotonic()
            events = selector.select(left) if left is None or left > 0 else []
            if not events:
                raise CommandTimeout(f"no end after {timeout} s", b"".join(pieces).decode(
                    errors="replace"))
            for _, mask in events:
                if mask & selectors.EVENT_READ:
                    session.receive()
                if mask & selectors.EVENT_WRITE:
                    outgoing = outgoing[session.send_some(outgoing[:CHUNK]):]
                    if not outgoing:
                        selector.modify(session, selectors.EVENT_READ)
