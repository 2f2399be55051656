# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes each call of a program to another's code fail once, and sees how it gets over that.

Which calls there are is read from the program itself; which of them a scenario reaches, from a
trace of it. tests/faults has the rest: what can fail, and how.
"""

import errno
import os
import re
import subprocess
import traceback
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TABLES = Path(__file__).resolve().parents[1] / "faults"

# What of all else our programs call has no failure to be tested, and why.
HARMLESS = {
    "it cannot fail": """
        __errno_location __isoc99_sscanf __stack_chk_fail clock_gettime dl_iterate_phdr free getenv
        getopt_long isatty malloc_trim memchr memcmp memcpy memset optarg optind qsort setuid
        sigabbrev_np sigaddset sigemptyset signal sigprocmask snprintf stderr stdout strchr strcmp
        strcpy strcspn strerror strlen strncmp strpbrk strrchr strsep strspn strstr uname vsnprintf
        sd_bus_close_unref sd_bus_error_free sd_bus_error_has_name sd_bus_error_is_set
        sd_bus_error_set sd_bus_error_setf sd_bus_flush_close_unref
        sd_bus_get_n_queued_write sd_bus_message_get_errno sd_bus_message_get_error
        sd_bus_message_unref sd_bus_object_vtable_format sd_bus_slot_unref sd_bus_unref
        sd_event_exit sd_event_get_exit_code sd_event_ref sd_event_source_disable_unref
        sd_event_source_set_io_fd_own sd_event_source_set_priority sd_event_source_set_time
        sd_event_source_unref sd_event_unref
        claims_close claims_drop claims_probe grant_table_close hypervisor_call_unbind
        hypervisor_close hypervisor_event_fd hypervisor_kick_unbind hypervisor_n_vcpus
        hypervisor_notify_probe hypervisor_page_unmap hypervisor_request_take seccomp_release""",
    "nothing could be done about it": "close closedir munmap shutdown",
    "it fails for a group that is not there, which test-settings.c tries": "getgrnam_r",
    "it ends the process when there is no memory, as glib does": "sd_bus_path_encode",
    "faults.c calls it": "abort getpid sd_event_source_get_io_fd syscall",
    "it tells people, or systemd, who are on their own without": """
        fflush fprintf fputs printf puts sd_journal_sendv_with_location sd_notify sd_notifyf
        sd_pid_notify_with_fds""",
    "it finds out a name that is only shown": "realpath",
}
# They end the process when there is no memory; what else they do is tested where it is used.
OF_GLIB = re.compile(r"^(g|json)_")
OF_THE_COMPILER = re.compile(
    r"^(__asan|__ubsan|__sanitizer|__cxa|__gmon|_ITM|__libc_start|_GLOBAL)|^__\w+_chk$")
# Calls that cannot fail as others of the same function can, by both functions' names, and why.
SAFE = {
    ("write", "notify_kick"): "an eventfd that takes no more has a kick that waits",
    ("fcntl64", "region_mark"): "the descriptor is open, and the number a signal's",
    ("fstat64", "file_has"): "the frontend's own file is open, and in memory",
}
CALL = re.compile(r"^ *[0-9a-f]+:\s+(?:call|bl)\s+[0-9a-f]+ <__wrap_(\w+)>$")
ADDRESS = re.compile(r"^ *([0-9a-f]+):\s")
# What the compiler puts apart from the rest of a function.
COLD = re.compile(r"^[0-9a-f]+ <.+\.cold>:$")
SYMBOL = re.compile(r"^[0-9a-f]+ <.+>:$")


@dataclass(frozen=True)
class Site:
    """A call, by where it returns to."""

    offset: int
    function: str  # that is called
    caller: str
    place: str  # in the source

    @property
    def is_safe(self):
        """Whether it cannot fail."""
        return (self.function, self.caller) in SAFE

    def __str__(self):
        return f"{self.function}() in {self.caller}() at {self.place}"


def message_of(function):
    """What is said of its failure."""
    table = "".join(path.read_text() for path in TABLES.glob("*.def"))
    found = re.search(rf"^FAULT_\w+\({function}, (\w+)\)", table, re.MULTILINE)
    return os.strerror(getattr(errno, found.group(1)) if found else errno.ENOSPC)


def plan(program, clean, part, parts, long):
    """Which calls fail: (scenario, offset, how manieth). clean: what each scenario calls how often.

    Ordinarily the first call from each place, in the first scenario that has it.
    """
    for offset in list(program.sites)[part::parts]:
        if program.sites[offset].is_safe:
            continue
        scenarios = [scenario for scenario, (counts, _) in clean.items() if offset in counts]
        for scenario in scenarios if long else scenarios[:1]:
            count = clean[scenario][0][offset]
            for number in sorted({1, min(2, count), count}) if long else (1,):
                yield scenario, offset, number


def told(error):
    """What an error says, and where: many an assertion has no message."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{error!r} at {os.path.basename(place.filename)}:{place.lineno}"


def output(*command, text=None):
    """What a program prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True, input=text).stdout


class FaultyProgram:
    """A program of tests/faults."""

    def __init__(self, path):
        self.path = path

    def _calls(self):
        """The function that each call is of, and whether it lies apart, by offset."""
        lines = output("objdump", "-d", "--no-show-raw-insn", self.path).splitlines()
        found, is_cold = {}, False
        for line, after in zip(lines, lines[1:], strict=False):
            if SYMBOL.match(line):
                is_cold = bool(COLD.match(line))
            elif (call := CALL.match(line)) and ADDRESS.match(after):
                found[int(ADDRESS.match(after).group(1), 16)] = call.group(1), is_cold
        return found

    @cached_property
    def sites(self):
        """All its calls that can fail, by offset.

        After a finding of a sanitizer, which ends the program, lies a copy of what comes next.
        """
        calls = self._calls()
        places = output("addr2line", "-s", "-f", "-e", self.path,
                        text="".join(f"{offset - 1:#x}\n" for offset in calls)).splitlines()
        sites = {offset: Site(offset, name, caller, place.partition(" ")[0])
                 for (offset, (name, _)), caller, place
                 in zip(calls.items(), places[::2], places[1::2], strict=True)}
        hot = {str(site) for offset, site in sites.items() if not calls[offset][1]}
        return {offset: site for offset, site in sites.items()
                if not calls[offset][1] or str(site) not in hot}

    def unknown(self):
        """What it calls of which nobody has said whether it can fail."""
        names = {line.split()[-1].partition("@")[0] for line in
                 output("nm", "-D", "--undefined-only", self.path).splitlines()}
        known = set(" ".join(HARMLESS.values()).split()) | set(
            re.findall(r" __wrap_(\w+)$", output("nm", self.path), re.MULTILINE))
        return sorted(name for name in names - known
                      if not OF_THE_COMPILER.match(name) and not OF_GLIB.match(name))

    def missed(self, reached):
        """The calls that are not among these offsets. Switching a timer is no call that could fail;
        only those of descriptors are traced."""
        return [site for offset, site in self.sites.items()
                if offset not in reached and site.function != "sd_event_source_set_enabled"]


class Trace:
    """What calls the processes of one run make, and which of them fails, if any does."""

    def __init__(self, path, site=None, count=1):
        self._path = path
        self._fault = f"{site.offset:x}:{count}" if site else None

    def environment(self):
        """For the next process: only one call fails."""
        environment = {"XEN_VIRTIO_FAULT_TRACE": str(self._path)}
        if self._fault and not self.failed_in():
            environment["XEN_VIRTIO_FAULT"] = self._fault
        return environment

    def _lines(self):
        return self._path.read_text().splitlines() if os.path.exists(self._path) else []

    def failed_in(self):
        """The process in which the call has failed, or None."""
        return next((int(line.partition("!")[2]) for line in self._lines() if "!" in line), None)

    def calls(self, function):
        """How often the function was called, from wherever."""
        return sum(line.split()[1] == function for line in self._lines())

    def counts(self):
        """How often each call was made, by offset."""
        counts = {}
        for line in self._lines():
            offset = int(line.split()[0], 16)
            counts[offset] = counts.get(offset, 0) + 1
        return counts
