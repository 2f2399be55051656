# SPDX-License-Identifier: LGPL-2.1-or-later
"""dom0 of a booted lab, as tests and the demo see it."""

import re
import shlex
import time

from .ui import LabError

UNITS = "systemctl list-units --all --plain --no-legend 'xen-virtio-*'"
# Seconds, by our clock, after which no command ends any more, however busy the machine is.
GUARD = 300
PROCESSES = "pgrep --list-full 'qemu-storage|xen-virtio-fro|qemu-system'"


class Host:
    """Runs commands in dom0 and knows where things are."""

    def __init__(self, lab, kernel):
        self.lab = lab
        self.kernel = kernel

    def __str__(self):
        return self.kernel

    @property
    def kernel_kind(self):
        """Which kernel dom0 runs: "lab" or "stock"."""
        return self.kernel.partition("-")[0]

    def run(self, command, timeout=GUARD):
        """Runs a shell line; returns .status and .output."""
        return self.lab.run(command, timeout=timeout)

    def check(self, command, timeout=GUARD):
        """Runs a shell line that has to succeed; returns what it printed."""
        result = self.run(command, timeout)
        if result.status:
            raise LabError(f"{command}: status {result.status}\n{result.output}")
        return result.output

    def wait(self, condition, timeout=60, why=""):
        """Waits in dom0 until a shell condition holds."""
        loop = (f"timeout {timeout} sh -c "
                + shlex.quote(f"until {condition}; do busybox usleep 200000; done"))
        # dom0's clock may be slower than ours, by far if others use this machine, too.
        result = self.run(loop, 10 * timeout + 60)
        if result.status:
            raise LabError(f"{why or condition}: not within {timeout} s\n{self.story()}")

    def timed(self, command, timeout=GUARD):
        """Runs a shell line; returns its result and how long it took by dom0's clock.

        Its error output goes where the output goes: of two pipes nobody knows which comes last.
        """
        result = self.run("read start _ < /proc/uptime; { " + command + "; } 2>&1; status=$?; "
                          "read end _ < /proc/uptime; echo; echo took $start $end; exit $status",
                          timeout)
        start, end = map(float, re.search(r"took (\S+) (\S+)\s*$", result.output).groups())
        return result, end - start

    def mapped_kib(self, pid):
        """How much a process has mapped through privcmd: guest memory, pages shared with Xen."""
        return int(self.check("awk '/^[0-9a-f]+-/ { ours = /privcmd/ } ours && /^Size:/ { n += $2 }"
                              f" END {{ print n + 0 }}' /proc/{pid}/smaps"))

    def story(self, lines=60):
        """What the journal tells of us, for the message of a failing test."""
        return self.run(f"journalctl --no-pager -o short-monotonic -n {lines} -u xen-virtiod "
                        "-u 'xen-virtio-*'; xl list; " + UNITS).output

    def journal(self, *fields, output="cat"):
        """Messages of the journal with these fields, "VIRTIO_DEVICE=5-disk-51712"."""
        return self.check(f"journalctl --no-pager -o {output} " + " ".join(fields))

    def leftovers(self):
        """What there still is of any device of ours; an empty text if all is clean."""
        return self.run(
            f"{UNITS} | grep -v '^xen-virtio.slice'; {PROCESSES}; "
            "find /run/xen-virtio /run/xen-virtio-frontend -mindepth 1 2>/dev/null; "
            "ls -d /run/systemd/system/xen-virtio-* 2>/dev/null; "
            "xenstore-ls -f /local/domain/0/backend 2>/dev/null | "
            "grep -E 'virtio(_disk)?/[0-9]+/'; "
            "xl list | tail -n +3").output

    def uptime(self):
        """The seconds since dom0's kernel was started, by its own clock."""
        return float(self.check("cut -d ' ' -f 1 /proc/uptime"))

    def expect_clean(self, timeout=15):
        """All has to be gone soon, by our clock or by dom0's, which may be slower: units,
        processes, sockets, folders, nodes and domains."""
        deadline, end = time.monotonic() + timeout, None
        while left := self.leftovers().strip():
            now = self.uptime()
            end = end or now + timeout
            if now > end and time.monotonic() > deadline:
                raise LabError(f"left behind:\n{left}\n{self.story()}")
            time.sleep(0.2)
