# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of scripts/lab."""

import argparse
import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import cache, dom0, guest, kernel, product, qemu, shell, sysroot, xen
from .apt import Apt, MissingFile
from .client import NOT_BOOTED, TIMED_OUT, CommandTimeout, Lab, NotBooted
from .ui import Console, LabError

DESCRIPTION = """\
A real Xen host on any Linux machine: QEMU emulates an arm64 machine that runs Xen, a Debian 13
dom0 with systemd, and guests that xl starts.  Everything is kept in
${XEN_VIRTIO_LAB_CACHE:-${XDG_CACHE_HOME:-~/.cache}/xen-virtio-lab}.  Files that are already in the
folder XEN_VIRTIO_DOWNLOADS are not downloaded again.  scripts/setup installs what this needs."""


def build_parts(apt, console, kinds):
    """Builds all parts for some kinds of kernel, side by side; returns their folders."""
    def with_guest(kind):
        folders = {name: kernel.build(name, apt, console) for name in guest.GUEST_KERNELS[kind]}
        return folders[kind], guest.build(kind, folders, apt, console)

    with ThreadPoolExecutor() as pool:
        # The longest first.
        kernels = {kind: pool.submit(with_guest, kind) for kind in kinds}
        others = {part.__name__.rpartition(".")[2]: pool.submit(part.build, apt, console)
                  for part in (xen, dom0, sysroot)}
        parts = {name: future.result() for name, future in others.items()}
        for kind, future in kernels.items():
            parts[f"kernel-{kind}"], parts[f"guest-{kind}"] = future.result()
    return parts


def _prepare(console, kinds, refresh=False):
    """Builds what is missing; takes newer packages when the archive dropped the old ones."""
    apt = Apt(console)
    if refresh:
        apt.refresh()
    try:
        return build_parts(apt, console, kinds)
    except MissingFile as error:
        console.say("build", f"{error}\ntrying again with the newest versions")
        apt.refresh()
        return build_parts(apt, console, kinds)


def cmd_build(options, console):
    """Builds the lab."""
    kinds = kernel.KINDS if options.kernel == "all" else (options.kernel,)
    parts = _prepare(console, kinds, options.update)
    text = json.dumps({name: str(path) for name, path in parts.items()}, indent=1)
    if options.kernel == "all":
        cache.write_atomically(cache.root() / "current.json", text)
    for name, path in sorted(parts.items()):
        print(f"{name:<14} {path}")
    return 0


def cmd_boot(options, console):
    """Boots a lab."""
    built = _prepare(console, (options.kernel,))
    parts = {"xen": built["xen"], "dom0": built["dom0"],
             "kernel": built[f"kernel-{options.kernel}"], "guest": built[f"guest-{options.kernel}"]}
    console.say("boot", f"lab \"{options.name}\", {options.kernel} kernel"
                        f"{', exact time' if options.exact else ''}")
    seconds = qemu.boot(options.name, parts, options, console)
    print(f"lab \"{options.name}\": {'KVM' if options.kvm else 'xl'} works {seconds:.1f} s after "
          "power-on")
    return 0


def cmd_reboot(options, console):
    """Reboots a lab."""
    seconds = qemu.reboot(Lab(options.name), console)
    print(f"lab \"{options.name}\": xl works again after {seconds:.1f} s")
    return 0


def cmd_run(options, _console):
    """Runs a command in dom0."""
    def show(data, is_error):
        stream = sys.stderr if is_error else sys.stdout
        stream.buffer.write(data)
        stream.flush()

    data = sys.stdin.buffer.read() if options.stdin else b""
    return Lab(options.name).run(*options.command, data=data, output=show,
                                 timeout=options.timeout).status


def cmd_shell(options, _console):
    """A shell in dom0."""
    return shell.interact(Lab(options.name), options.command)


def cmd_install(options, console):
    """Builds the product for dom0 and installs it there."""
    lab = Lab(options.name)
    if not lab.running():
        raise NotBooted(f"the lab \"{options.name}\" is not booted: use scripts/lab boot")
    product.install(lab, sysroot.build(Apt(console), console), options, console)
    return 0


def cmd_stop(options, _console):
    """Stops labs."""
    for name in qemu.labs() if options.all else [options.name]:
        stopped = qemu.stop(name)
        print(f"lab \"{name}\": {'stopped' if stopped else 'was not running'}")
    return 0


def cmd_status(_options, _console):
    """What is built and what runs."""
    print(f"cache: {cache.root()}")
    for kind in ("xen", "kernel-lab", "kernel-stock", "guest-lab", "guest-stock", "dom0",
                 "sysroot"):
        folder = cache.root() / kind
        built = [path.name for path in folder.iterdir() if path.suffix != ".partial"] if (
            folder.is_dir()) else []
        print(f"  {kind:<13} {' '.join(built) or 'not built'}")
    for name in qemu.labs():
        lab = Lab(name)
        state = lab.state
        if lab.running():
            print(f"lab \"{name}\": runs, {state['kernel']} kernel"
                  f"{', exact time' if state['exact'] else ''}, share {lab.share}")
        else:
            print(f"lab \"{name}\": stopped, its console {lab.console_log}")
    return 0


def cmd_clean(options, _console):
    """Removes what is not needed, or everything."""
    running = [name for name in qemu.labs() if Lab(name).running()]
    if options.all:
        if running:
            raise LabError(f"these labs still run: {', '.join(running)}; stop them first")
        shutil.rmtree(cache.root(), ignore_errors=True)
        print(f"removed {cache.root()}")
        return 0
    for name in set(qemu.labs()) - set(running):
        shutil.rmtree(Lab(name).folder)
        print(f"removed the stopped lab \"{name}\"")
    try:
        used = [Path(path) for path in json.loads(
            (cache.root() / "current.json").read_text(encoding="utf-8")).values()]
    except OSError:
        used = []
    for path in cache.forget_unused(used) if used and not running else []:
        print(f"removed {path}")
    return 0


def _lab_name(text):
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", text):
        raise argparse.ArgumentTypeError("a name has small letters, digits and dashes")
    return text


def _parser():
    parser = argparse.ArgumentParser(prog="scripts/lab", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, function, text, description="", named=True):
        command = commands.add_parser(name, help=text, description=description or text)
        command.set_defaults(function=function)
        if named:
            command.add_argument("--name", type=_lab_name, default="default",
                                 help="which lab; several may run at a time (default: default)")
        return command

    build = add("build", cmd_build, "build Xen, kernels, dom0 and sysroot, as far as needed",
                named=False)
    build.add_argument("--kernel", choices=(*kernel.KINDS, "all"), default="all",
                       help="only what this kind of kernel needs (default: all)")
    build.add_argument("--update", action="store_true",
                       help="take the newest packages of Debian instead of those of last time")
    boot = add("boot", cmd_boot, "boot a lab and wait until xl works",
               "Boots a lab, building what is missing. Every boot starts from the same fresh dom0.")
    _add_boot_options(boot)
    add("reboot", cmd_reboot, "reboot dom0 and wait until xl works again",
        "Reboots dom0, and Xen with it, as its administrator would. What was installed and written "
        "to dom0's disk stays.")
    run = add("run", cmd_run, "run a command in dom0",
              "Runs a shell line (one argument) or a program with its arguments (several) in dom0, "
              "shows its output as it comes and ends with its status; 125 means that the lab is "
              "not booted, 124 that the time was up.")
    run.add_argument("--timeout", type=float, help="seconds after which the command is killed")
    run.add_argument("--stdin", action="store_true", help="pass standard input on to the command")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    command = add("shell", cmd_shell, "an interactive shell in dom0")
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD",
                         help="run this on the terminal instead of a shell")
    install = add("install", cmd_install, "build this checkout for dom0 and install it there",
                  "Cross-builds this checkout, copies what it installs into the running dom0, and "
                  "starts it as a user would.")
    install.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2],
                         help="another checkout to install")
    install.add_argument("--no-start", action="store_true", help="only copy the files")
    install.add_argument("meson", nargs="*", metavar="-- MESON-OPTION",
                         help="further options for meson setup")
    stop = add("stop", cmd_stop, "stop a lab at once")
    stop.add_argument("--all", action="store_true", help="stop every lab")
    add("status", cmd_status, "show what is built and what runs", named=False)
    clean = add("clean", cmd_clean, "remove stopped labs and what the last build no longer uses",
                named=False)
    clean.add_argument("--all", action="store_true", help="remove the whole cache")
    return parser


def _add_boot_options(boot):
    boot.add_argument("--kernel", choices=kernel.KINDS, default="lab",
                      help="for dom0 and guests: the lab's own kernel, or Debian's stock one")
    boot.add_argument("--exact", action="store_true",
                      help="one CPU, and time is the count of instructions: figures repeat exactly")
    boot.add_argument("--memory", type=int, default=4096, metavar="MIB",
                      help="of the whole machine; dom0 has 1024 of it (default: 4096)")
    boot.add_argument("--kvm", action="store_true",
                      help="without Xen: Linux alone, as a host of KVM guests (stock kernel)")
    boot.add_argument("--xen-args", default="", metavar="TEXT", help="added to Xen's command line")
    boot.add_argument("--dom0-args", default="", metavar="TEXT",
                      help="added to the command line of dom0's kernel")


def main():
    """Runs scripts/lab; returns its exit status."""
    options = _parser().parse_args()
    if options.function is cmd_run and not options.command:
        print("lab: run needs a command", file=sys.stderr)
        return 2
    try:
        return options.function(options, Console())
    except NotBooted as error:
        print(f"lab: {error}", file=sys.stderr)
        return NOT_BOOTED
    except CommandTimeout as error:
        print(f"lab: {error}", file=sys.stderr)
        return TIMED_OUT
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
