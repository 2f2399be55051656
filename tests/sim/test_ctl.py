# SPDX-License-Identifier: LGPL-2.1-or-later
"""xen-virtioctl, all of it, and xen-virtiod's control socket with devices that tests make up."""

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from sim import prometheus
from sim.slack import has_passed, slack

DISK = "set 5-disk-51712 5 guest1 ready"
FAILED = "set 10-disk-51712 10 guest2 failed the backend exited with status 1"
WAIT = 10
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Daemon:
    """The control socket, in a folder, and xen-virtioctl for it."""

    def __init__(self, build, folder, readers="everybody"):
        self.folder = folder
        self.socket = f"{folder}/control"
        self._ctl = [str(build.path / "orchestrator/xen-virtioctl"), f"--run-directory={folder}"]
        self._process = subprocess.Popen(
            [str(build.path / "tests/sim/xen-virtio-control-sim"), str(folder), readers],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert self.line() == "ready"

    def tell(self, *orders):
        """Changes devices."""
        self._process.stdin.write("".join(f"{order}\n" for order in orders))

    def line(self):
        """The next line that the daemon prints."""
        assert select.select([self._process.stdout], [], [], WAIT * slack())[0]
        return self._process.stdout.readline().strip()

    def ctl(self, *arguments, status=0, before=(), **environment):
        """Runs xen-virtioctl, which has to end with this status."""
        result = subprocess.run([*before, *self._ctl, *arguments], timeout=WAIT * 2 * slack(),
                                text=True, capture_output=True, env=os.environ | environment)
        assert result.returncode == status, result.stderr
        assert bool(result.stderr) == (status != 0) or "doctor" in arguments
        return result.stdout

    @contextlib.contextmanager
    def events(self, *arguments):
        """Runs xen-virtioctl events; what is yielded reads its next line."""
        process = subprocess.Popen([*self._ctl, *arguments, "events"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, bufsize=1)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def ask(self, *arguments):
        """Asks with busctl."""
        return subprocess.run(["busctl", f"--address=unix:path={self.socket}", *arguments],
                              timeout=WAIT * slack(), text=True, check=True,
                              stdout=subprocess.PIPE).stdout

    def stop(self):
        """Ends it, which has to be without an error."""
        self._process.stdin.close()
        assert self._process.wait(WAIT * slack()) == 0
        self._process.stdout.close()


@pytest.fixture
def daemon(build, tmp_path):
    """A daemon without devices."""
    daemon = Daemon(build, tmp_path)
    yield daemon
    daemon.stop()


def settle(daemon, n_devices):
    """Waits until the daemon has so many devices."""
    start = time.monotonic()
    while len(json.loads(daemon.ctl("--json", "list"))) != n_devices:
        assert not has_passed(start, WAIT)


def listen(daemon, process):
    """Waits until the program gets events, by those that it has to print: the last one, too."""
    while not select.select([process.stdout], [], [], 0.1)[0]:
        daemon.tell("set 1-disk-1 1 first seen")
    daemon.tell("set 1-disk-1 1 last seen")
    while "last" not in (line := process.stdout.readline()):
        assert line


def test_list(daemon):
    assert daemon.ctl("list") == "No devices.\n"
    assert json.loads(daemon.ctl("list", "--json")) == []
    daemon.tell(FAILED, DISK)
    settle(daemon, 2)
    assert daemon.ctl("list") == (
        "DEVICE         GUEST   TYPE  FRONTEND  STATE   PROBLEM\n"
        "5-disk-51712   guest1  blk   own       ready   -\n"
        "10-disk-51712  guest2  blk   own       failed  the backend exited with status 1\n")
    first, second = json.loads(daemon.ctl("list", "--json"))
    assert (first["device"], first["problem"], first["base"]) == ("5-disk-51712", None, 0x2000000)
    assert second["problem"] == "the backend exited with status 1"


def test_show(daemon):
    daemon.tell(DISK, FAILED)
    settle(daemon, 2)
    text = daemon.ctl("show", "5-disk-51712")
    assert "Guest: guest1 (domain 5)\n" in text
    assert "Accesses: 70, of which bad 2\n" in text
    assert "xen-virtio-frontend@5-disk-51712.service\n" in text
    assert "Problem" not in text
    assert "Problem: the backend exited with status 1\n" in daemon.ctl("show", "10-disk-51712")
    [entry] = json.loads(daemon.ctl("--json", "show", "5-disk-51712"))
    assert entry["kicks"] == 20
    assert daemon.ctl("show", "5-disk-51728", status=1) == ""


def test_shared_frontend(daemon):
    daemon.tell(DISK, "set 5-virtio-3 5 guest1 ready")
    settle(daemon, 2)
    lines = daemon.ctl("list").splitlines()
    assert [line.split()[3] for line in lines] == ["FRONTEND", "own", "shared"]
    entries = json.loads(daemon.ctl("--json", "list"))
    assert [entry["frontend"] for entry in entries] == ["5-disk-51712", "5-shared"]
    text = daemon.ctl("show", "5-virtio-3")
    assert "Units: xen-virtio-frontend@5-shared.service, shared with other devices\n" in text
    assert "xen-virtio-backend@5-virtio-3.service\n" in text


def test_many_devices(daemon):
    for number in range(64):
        daemon.tell(*(f"set {number}-disk-{devid} {number} guest{number} ready"
                      for devid in range(16)))
        settle(daemon, 16 * (number + 1))
    names = [line.split()[0] for line in daemon.ctl("list").splitlines()[1:]]
    assert names[0] == "0-disk-0" and names[-1].startswith("63-disk-")
    assert len(set(names)) == 1024


def test_names_that_are_no_text(daemon):
    """The bus takes only UTF-8, and a terminal is not to be moved by a guest's name."""
    os.write(daemon._process.stdin.fileno(), b"set 5-disk-1 5 a\xff\x1b[2Jb ready\n")
    settle(daemon, 1)
    assert "5-disk-1  a\N{REPLACEMENT CHARACTER}?[2Jb  blk" in daemon.ctl("list")


def test_events(daemon):
    with daemon.events() as process:
        listen(daemon, process)
        daemon.tell(FAILED)
        time_of, device, guest, state, problem = process.stdout.readline().split(None, 4)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6}", time_of)
    assert (device, guest, state) == ("10-disk-51712", "guest2", "failed")
    assert problem == "the backend exited with status 1\n"


def test_events_for_programs(daemon):
    with daemon.events("--json") as process:
        listen(daemon, process)
        daemon.tell(DISK)
        entry = json.loads(process.stdout.readline())
    assert entry["device"] == "5-disk-51712"
    assert entry["time"].startswith("20")


def test_events_end_with_the_daemon(build, tmp_path):
    daemon = Daemon(build, tmp_path)
    with daemon.events() as process:
        listen(daemon, process)
        daemon.stop()
        assert process.wait(WAIT * slack()) == 3


def test_restart(daemon):
    daemon.tell(DISK)
    settle(daemon, 1)
    daemon.ctl("restart", "5-disk-51712")
    assert daemon.line() == "restart 5-disk-51712 backend frontend"
    daemon.ctl("restart", "5-disk-51712", "--backend")
    assert daemon.line() == "restart 5-disk-51712 backend"
    daemon.ctl("restart", "--frontend", "5-disk-51712")
    assert daemon.line() == "restart 5-disk-51712 frontend"
    daemon.ctl("restart", "--frontend", "--backend", "5-disk-51712")
    assert daemon.line() == "restart 5-disk-51712 backend frontend"
    daemon.ctl("restart", "5-disk-51728", status=1)
    daemon.ctl("restart", "9-disk-9", status=1)


def test_wrong_usage(daemon):
    for arguments in ([], ["nonsense"], ["list", "5-disk-51712"], ["show"], ["restart"],
                      ["--nonsense", "list"], ["list", "--backend"], ["list", "--root=/"],
                      ["metrics", "--json"], ["check", "a", "b"], ["check", "--json"]):
        daemon.ctl(*arguments, status=2)
    assert daemon.ctl("--version").startswith("xen-virtioctl ")
    assert "restart DEVICE" in daemon.ctl("--help")


def test_check(daemon, tmp_path):
    """Of a guest that is not there yet; test-check.c has what it finds."""
    config = tmp_path / "guest.cfg"
    config.write_text("name = 'guest'\n")
    assert "no virtio devices" in daemon.ctl("check", f"--root={tmp_path}", str(config))
    config.write_text("name = 'guest'\nvirtio = ['nonsense']\n")
    result = subprocess.run([*daemon._ctl, "check", f"--root={tmp_path}", str(config)],
                            capture_output=True, text=True, timeout=WAIT * slack())
    assert result.returncode == 1
    assert result.stderr.startswith(f"{config}:2:")
    daemon.ctl("check", f"--root={tmp_path}", "nobody", status=1)


def test_no_daemon(daemon, tmp_path):
    (tmp_path / "empty").mkdir()
    daemon.ctl(f"--run-directory={tmp_path}/empty", "list", status=3)


def test_colors(daemon):
    """On a terminal, where nobody says otherwise."""
    daemon.tell(DISK)
    settle(daemon, 1)

    def shown(**environment):
        terminal, end = pty.openpty()
        subprocess.run([*daemon._ctl, "list"], stdout=end, timeout=WAIT * slack(), check=True,
                       env={"TERM": "xterm"} | environment)
        os.close(end)
        text = b""
        with contextlib.suppress(OSError):  # that is how it ends
            while True:
                text += os.read(terminal, 65536)
        os.close(terminal)
        return text.decode()

    assert "\033[32mready\033[0m" in shown()
    assert "\033" in shown(NO_COLOR="")
    assert "\033" not in shown(NO_COLOR="1")
    assert "\033" not in shown(TERM="dumb")
    assert "\033" not in daemon.ctl("list")


def test_metrics(daemon):
    daemon.tell(DISK, FAILED)
    settle(daemon, 2)
    families = prometheus.parse(daemon.ctl("metrics"))
    assert all(name.startswith("xenvirtio_") for name in families)
    devices = families["xenvirtio_devices"].samples
    assert devices["xenvirtio_devices", (("state", "ready"), ("type", "blk"))] == 1
    labels = (("device", "5-disk-51712"), ("domain", "guest1"))
    assert families["xenvirtio_ioreqs_total"].samples["xenvirtio_ioreqs_total", labels] == 70
    claims = families["xenvirtio_claim_seconds"].samples
    assert claims["xenvirtio_claim_seconds_bucket", (("le", "0.005000"),)] == 1


@pytest.mark.parametrize("text", [
    "", "a 1", "a 1\n", "# HELP a b\n# TYPE a gauge\na 1 \n", "# HELP a b\n# TYPE a gauge\na x\n",
    "# HELP a b\n# TYPE a gauge\na 1\na 1\n", "# HELP a b\n# TYPE a counter\na 1\n",
    "# HELP a_total b\n# TYPE a_total gauge\n", "# HELP a b\n# TYPE a gauge\nb 1\n",
    "# HELP a b\n# HELP a b\n# TYPE a gauge\n", "# HELP a b\na 1\n",
    '# HELP a b\n# TYPE a gauge\na{b="\\x"} 1\n', '# HELP a b\n# TYPE a gauge\na{b="c",} 1\n',
    '# HELP a b\n# TYPE a gauge\na{b="c",b="d"} 1\n',
    '# HELP a_seconds b\n# TYPE a_seconds histogram\na_seconds_bucket{le="+Inf"} 1\n',
    '# HELP a_seconds b\n# TYPE a_seconds histogram\na_seconds_bucket{le="1"} 2\n'
    'a_seconds_bucket{le="+Inf"} 1\na_seconds_sum 1\na_seconds_count 1\n',
])
def test_the_reader_of_metrics_is_strict(text):
    with pytest.raises((AssertionError, AttributeError, KeyError)):
        prometheus.parse(text)


def test_doctor(daemon):
    """What it finds depends on the machine; that it says it, in either way, does not."""
    report = subprocess.run([*daemon._ctl, "doctor", "--json"], stdout=subprocess.PIPE,
                            timeout=WAIT * 3 * slack())
    findings = json.loads(report.stdout)
    errors = [finding for finding in findings if finding["level"] == "error"]
    assert report.returncode == (1 if errors else 0)
    assert all(finding["advice"] for finding in errors)
    assert [finding for finding in findings if finding["subject"] == "xen-virtiod"] == [
        {"level": "ok", "subject": "xen-virtiod", "text": "version 0.1.0, 0 devices",
         "advice": None}]
    text = daemon.ctl("doctor", status=report.returncode)
    assert len(re.findall(r"^(?:ok|warning|error) +\S", text, re.MULTILINE)) == len(findings)


def test_introspection(daemon):
    """What busctl shows is the interface: it changes with a new name only."""
    members = {tuple(line.split()[:4]) for line in daemon.ask(
        "introspect", "org.xenvirtio1", "/org/xenvirtio1", "org.xenvirtio1.Manager").splitlines()}
    assert members == {
        ("NAME", "TYPE", "SIGNATURE", "RESULT/VALUE"),
        (".GetMetrics", "method", "-", "s"),
        (".ListDevices", "method", "-", "aa{sv}"),
        (".RestartDevice", "method", "ss", "-"),
        (".Status", "property", "s", '"no'),
        (".Version", "property", "s", '"0.1.0"'),
        (".DeviceChanged", "signal", "a{sv}", "-")}
    assert daemon.ask("get-property", "org.xenvirtio1", "/org/xenvirtio1",
                      "org.xenvirtio1.Manager", "Status") == 's "no devices"\n'
