# SPDX-License-Identifier: LGPL-2.1-or-later
"""What boots besides dom0's root: initial RAM file systems, and the small disk that dom0 mounts at
/srv/lab with guests' kernels, their initramfs and dom0's modules."""

import lzma
import shutil
import stat

from . import cache
from .ui import LabError, check

RECIPE = 5
ROOT_LABEL = "lab-root"
SRV_LABEL = "lab-srv"
BUSYBOX_PACKAGE = "busybox-static"
# What Debian's kernel has as modules and both need before or without udev.
GUEST_MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio-rng", "crc32c_generic", "ext4",
                 "xen-blkfront")
# The drivers of further devices, for guests that ask for them: they take time to load.
DEVICE_MODULES = ("virtio_input", "evdev", "virtio_snd", "virtio_scsi",
                  "vmw_vsock_virtio_transport")
DOM0_MODULES = ("virtio_mmio", "virtio_blk", "crc32c_generic", "ext4", "virtio_net",
                "9pnet_virtio", "9p", "loop", "xenfs", "xen-privcmd", "xen-evtchn", "xen-gntdev",
                "xen-gntalloc", "autofs4", "ip_tables", "nfnetlink")
# What ends a signed module. Without it the kernel loads one as it is; an emulated CPU takes longer
# to verify a signature than for all else of it.
SIGNED = b"~Module signature appended~\n"

# Guests of either kernel run on Debian's dom0; most tests take the lab's, which is up much sooner.
GUEST_KERNELS = {"lab": ("lab",), "stock": ("stock", "lab")}

LOAD_MODULES = """\
for list in /modules.list /devices.list; do
    [ ! -f $list ] || while read -r module; do
        insmod "/modules/$module" || echo "lab: cannot load $module"
    done < $list
done
"""

GUEST_INIT = f"""\
#!/bin/busybox sh
# A guest of the lab: runs /guest.sh, which a test appends as a second cpio archive, then ends.
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /mnt /root
/bin/busybox mount -t proc proc /proc
# From here on the shell finds busybox's other commands by itself.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t sysfs sys /sys
[ -c /dev/null ] || mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
exec < /dev/hvc0 > /dev/hvc0 2>&1
{LOAD_MODULES}
echo "lab-guest: up, $(uname -r), $(cut -d ' ' -f 1 /proc/uptime) s"
if [ -f /guest.sh ]; then
    sh /guest.sh
    echo "lab-guest: /guest.sh ended with status $?"
fi
# What is still in the console's ring would be lost with the guest.
sleep 0.2
poweroff -f
"""

DOM0_INIT = f"""\
#!/bin/busybox sh
# Loads the modules that Debian's kernel needs and mounts all that dom0 has, which is quicker than
# systemd's waiting for udev, then goes on in dom0's root.
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t proc proc /proc
mount -t sysfs sys /sys
[ -c /dev/null ] || mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
{LOAD_MODULES}
tries=0
until root=$(findfs LABEL={ROOT_LABEL} 2>&1) || [ $((tries += 1)) = 50 ]; do sleep 0.1; done
mount -t ext4 "$root" /root
mount -t ext4 -o ro "$(findfs LABEL={SRV_LABEL})" /root/srv/lab
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,access=any lab /root/mnt/lab
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
mount --move /dev /root/dev
umount /sys /proc
exec /bin/busybox switch_root /root /sbin/init
"""


def build(kind, kernels, apt, console):
    """The folder that holds dom0-initrd, and disk.ext4 for /srv/lab; kernels: folders by kind."""
    package = apt.single(BUSYBOX_PACKAGE)
    inputs = {"recipe": RECIPE, "kernels": {name: path.name for name, path in kernels.items()},
              "busybox": package.sha256, "scripts": [GUEST_INIT, DOM0_INIT],
              "modules": [GUEST_MODULES, DEVICE_MODULES, DOM0_MODULES]}
    return cache.artifact(f"guest-{kind}", inputs,
                          lambda folder: _make(kind, kernels, apt, console, package, folder))


def _make(kind, kernels, apt, console, package, folder):
    tree = folder / "tree"
    tree.mkdir()
    apt.extract(f"guest {kind}", [package], tree)
    busybox = (tree / "usr/bin/busybox").read_bytes()
    disk = folder / "disk"
    for name, kernel in kernels.items():
        guest = disk / "guests" / name
        guest.mkdir(parents=True)
        files = _initramfs(kernel, busybox, GUEST_INIT, _modules(name, GUEST_MODULES))
        (guest / "initrd").write_bytes(files)
        drivers = _module_entries(kernel, _modules(name, DEVICE_MODULES), "devices.list")
        (guest / "devices").write_bytes(cpio(drivers))
        shutil.copyfile(kernel / "Image", guest / "kernel")
    files = _initramfs(kernels[kind], busybox, DOM0_INIT, _modules(kind, DOM0_MODULES))
    (folder / "dom0-initrd").write_bytes(files)
    shutil.copytree(kernels[kind] / "modules", disk / "modules")
    make_disk(disk, folder / "disk.ext4", SRV_LABEL, spare_mib=4)
    shutil.rmtree(tree)
    shutil.rmtree(disk)
    console.say(f"guest {kind}", "initramfs and /srv/lab made")


def _modules(kind, names):
    """The lab's own kernel has everything built in."""
    return names if kind == "stock" else ()


def make_disk(tree, image, label, spare_mib):
    """A folder as an ext4 image with that much free space."""
    used = int(check("du", "--summarize", "--block-size=1M", tree).split()[0])
    size = used + used // 8 + spare_mib + 16
    check("/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", label, "-d", tree,
          "-O", "^has_journal", image, f"{size}M")


def _initramfs(kernel, busybox, init, modules):
    """An archive of busybox, an init and, in the right order, modules.

    Nothing is compressed: an emulated CPU takes longer to expand it than QEMU and xl to load it.
    """
    entries = {"dev": None, "bin": None, "modules": None, "bin/busybox": busybox,
               "init": init.encode()}
    return cpio(entries | _module_entries(kernel, modules, "modules.list"))


def _module_entries(kernel, modules, listed):
    """The files of modules, and the list in which an init finds them in the right order."""
    entries = {}
    ordered = _load_order(kernel, modules)
    for path in ordered:
        data = path.read_bytes()
        module = lzma.decompress(data) if path.suffix == ".xz" else data
        entries[f"modules/{_module_name(path)}.ko"] = module.removesuffix(SIGNED)
    if ordered:
        entries[listed] = "".join(f"{_module_name(path)}.ko\n" for path in ordered).encode()
    return entries


def _module_name(path):
    return path.name.split(".ko")[0]


def _load_order(kernel, names):
    """The files of these modules and of what they depend on, dependencies first."""
    [tree] = (kernel / "modules").iterdir()
    needs = {}
    for line in (tree / "modules.dep").read_text(encoding="ascii").splitlines():
        path, _, dependencies = line.partition(":")
        # depmod lists the nearest dependency first.
        needs[_module_name(tree / path)] = [*reversed(dependencies.split()), path]
    builtin = (tree / "modules.builtin").read_text(encoding="ascii")
    ordered = {}
    for name in names:
        if name not in needs and f"/{name}.ko" in builtin:
            continue
        if name not in needs:
            raise LabError(f"the kernel {tree.name} has no module {name}")
        ordered.update(dict.fromkeys(needs[name]))
    return [tree / path for path in ordered]


def cpio(entries):
    """A cpio archive ("newc"), as the kernel unpacks it; None is a folder."""
    archive = bytearray()
    for inode, (name, data) in enumerate([*entries.items(), ("TRAILER!!!", b"")], start=1):
        mode = stat.S_IFDIR | 0o755 if data is None else stat.S_IFREG | 0o755
        content = data or b""
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in fields)
        archive += name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
