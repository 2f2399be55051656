# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots a lab: QEMU emulates a machine with virtualisation, on which Xen and dom0 run, or the same
Linux alone, with KVM."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time

from . import cache
from .client import Lab
from .ui import LabError, tail

AGENT_PORT = 7700
AGENT_READY = b"lab-agent: listening"
# What has to work in dom0 then.
XEN_READY = "systemctl start xen.service && xl list"
KVM_READY = "test -c /dev/kvm"
DOM0_MEMORY_MIB = 1024
# Where guest-loader puts dom0's kernel and initrd: above Xen, below any memory size allowed here.
KERNEL_ADDRESS = 0x50000000
INITRD_ADDRESS = 0x58000000
BOOT_SECONDS = 240
# What is slow when it is emulated, and of no use to the lab. Programs at addresses that change:
# QEMU translates them again for each process. A kernel that hides from programs: QEMU forgets what
# pages are where at each system call. BPF programs as security modules, which systemd would load.
# Tests of the kernel's own random numbers, certificates and probes, which take a second.
DOM0_QUICKLY = ("norandmaps nokaslr mitigations=off lsm=landlock,yama "
                "initcall_blacklist=jent_mod_init,load_system_certificate_list,init_kprobe_trace")
SIGNS_OF_DEATH = (b"Kernel panic", b"Panic on CPU", b"end Kernel panic", b"Emergency Mode")


def boot(name, parts, options, console):
    """Starts a lab and waits until xl works in its dom0, or without Xen the agent; returns the
    seconds that took."""
    lab = Lab(name)
    if lab.running():
        raise LabError(f"the lab \"{name}\" runs already: use scripts/lab stop first")
    shutil.rmtree(lab.folder, ignore_errors=True)
    lab.share.mkdir(parents=True)
    lab.folder.chmod(0o700)
    port = _free_port()
    token = secrets.token_hex(16)
    started = time.monotonic()
    _start(lab, _command(lab, parts, options, port, token))
    state = {"pid": int((lab.folder / "qemu.pid").read_text()), "port": port, "token": token,
             "kernel": options.kernel, "exact": options.exact, "xen": str(parts["xen"]),
             "ready": KVM_READY if options.kvm else XEN_READY}
    cache.write_atomically(lab.folder / "state.json", json.dumps(state))
    try:
        _wait_until_ready(lab, started, console)
    except LabError:
        stop(name)
        raise
    return time.monotonic() - started


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _command(lab, parts, options, port, token):
    """QEMU's arguments."""
    # Counting instructions makes time the same on every run; with two CPUs dom0 then hangs.
    if options.exact:
        cpus = 1
        emulation = ["-smp", "1", "-accel", "tcg,thread=single",
                     "-icount", "shift=0,sleep=off"]
    else:
        cpus = 2
        emulation = ["-smp", "2", "-accel", "tcg,thread=multi"]
    command = [
        "qemu-system-aarch64", "-name", f"lab-{lab.name}", "-M",
        "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a57", "-m", str(options.memory),
        *emulation, "-display", "none", "-daemonize",
        "-pidfile", lab.folder / "qemu.pid",
        "-monitor", f"unix:{lab.folder}/monitor,server=on,wait=off",
        "-serial", f"file:{lab.console_log}",
        *(_linux if options.kvm else _xen)(parts, options, cpus, f"lab.token={token}")]
    guest = parts["guest"]
    command += _drive("srv", guest / "disk.ext4", "readonly=on")
    command += _drive("root", parts["dom0"] / "root.ext4", "snapshot=on")
    return command + [
        "-fsdev", f"local,id=share,path={lab.share},security_model=none,multidevs=remap",
        "-device", "virtio-9p-device,fsdev=share,mount_tag=lab",
        "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:{AGENT_PORT}",
        "-device", "virtio-net-device,netdev=net",
        "-device", "virtio-rng-device"]


def _command_line(options, words):
    """That of dom0's kernel. TERM=dumb: else systemd asks the console for its size and waits for an
    answer."""
    return (f"{words} quiet net.ifnames=0 TERM=dumb systemd.show_status=no {DOM0_QUICKLY} "
            f"{options.dom0_args}")


def _xen(parts, options, cpus, words):
    """What the machine boots. noreboot: a crash of Xen or of dom0 ends the lab."""
    xen = (f"dom0_mem={DOM0_MEMORY_MIB}M dom0_max_vcpus={cpus} console=dtuart bootscrub=0 noreboot "
           f"loglvl=warning guest_loglvl=warning {options.xen_args}")
    dom0 = _command_line(options, f"console=hvc0 {words}").replace(",", ",,")
    return ["-kernel", parts["xen"] / "xen", "-append", xen,
            "-device", f"guest-loader,addr={KERNEL_ADDRESS:#x},"
                       f"kernel={parts['kernel'] / 'Image'},bootargs={dom0}",
            "-device", f"guest-loader,addr={INITRD_ADDRESS:#x},"
                       f"initrd={parts['guest'] / 'dom0-initrd'}"]


def _linux(parts, options, _cpus, words):
    """The same kernel on the machine itself."""
    return ["-kernel", parts["kernel"] / "Image", "-initrd", parts["guest"] / "dom0-initrd",
            "-append", _command_line(options, f"console=ttyAMA0 {words}")]


def _drive(name, path, mode):
    return ["-drive", f"if=none,id={name},file={path},format=raw,{mode}",
            "-device", f"virtio-blk-device,drive={name}"]


def _start(lab, command):
    # What dom0 writes to its root goes to a file that QEMU unlinks at once.
    environment = dict(os.environ, TMPDIR=str(lab.folder))
    with open(lab.folder / "qemu.log", "wb") as log:
        status = subprocess.run([str(argument) for argument in command], stdout=log, stderr=log,
                                stdin=subprocess.DEVNULL, env=environment, check=False).returncode
    if status:
        raise LabError(f"QEMU did not start: {tail(lab.folder / 'qemu.log')}")


def reboot(lab, console):
    """Reboots dom0, and Xen with it, as its administrator would; returns the seconds that took."""
    boots = lab.console_log.read_bytes().count(AGENT_READY)
    started = time.monotonic()
    result = lab.run("systemctl reboot")
    if result.status:
        raise LabError(f"dom0 does not reboot: {result.output}")
    _wait_until_ready(lab, started, console, boots + 1)
    return time.monotonic() - started


def _wait_until_ready(lab, started, console, boots=1):
    """First for the agent, by what it writes to the console, then for xen.service."""
    deadline = started + BOOT_SECONDS
    while (log := lab.console_log.read_bytes()).count(AGENT_READY) < boots:
        if not lab.running():
            raise LabError(f"the machine ended while it booted; its console:\n"
                           f"{tail(lab.console_log)}")
        if any(sign in log for sign in SIGNS_OF_DEATH) or time.monotonic() > deadline:
            raise LabError(f"dom0 did not boot; the end of {lab.console_log}:\n"
                           f"{tail(lab.console_log)}")
        time.sleep(0.1)
    console.say("boot", "dom0's agent answers")
    ready = lab.state["ready"]
    result = lab.run(ready, timeout=max(deadline - time.monotonic(), 1))
    if result.status:
        raise LabError(f"in dom0: {ready}: {result.output}\n"
                       f"the end of {lab.console_log}:\n{tail(lab.console_log)}")


def stop(name):
    """Ends a lab at once; says whether it ran.  Its logs and its share stay."""
    lab = Lab(name)
    if not lab.running():
        return False
    pid = lab.state["pid"]
    os.kill(pid, signal.SIGTERM)
    for _ in range(100):
        if not lab.running():
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return True


def labs():
    """The names of all labs that ever booted and were not cleaned."""
    folder = cache.root() / "run"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
