# SPDX-License-Identifier: LGPL-2.1-or-later
"""One device of each type in one guest, by the examples of docs/devices, in real use."""

import os
import re
from pathlib import Path

import pytest
from labkit import program
from labkit.domu import Guest, check_image, make_disk

from lab import pages

HERE = Path(__file__).resolve().parent
NAME = "guest1"
# In the order of xl.cfg, which is that of their devids. A guest has eight IOREQ servers.
VIRTIO = ("rng", "console", "i2c", "gpio", "input", "scsi", "sound", "can", "spi", "other")
STAND_INS = {page: f"vhost-device-{page}" for page in VIRTIO}
STAND_INS |= {"console": "my-console", "can": "my-can", "other": "my-device"}
PROFILES = "/etc/xen-virtio/backends"
GUESTS = "/etc/xen-virtio/guests"
CHIP = "/sys/devices/platform/gpio-sim.0/gpiochip0"
CHIP_ADDRESS, REGISTER, WRITTEN = "0x50", "0x10", "0x5a"
PROGRAMS = ("devices", "can", "spi", "driver")  # of the guest

# What the guest does with each device, by its driver of Linux; of the last one by a program.
WORK = {
    "rng": """\
echo virtio_rng.0 > /sys/class/misc/hw_random/rng_current || fail "no virtio_rng"
[ $(head -c 4096 /dev/hwrng | sort -u | wc -c) -gt 3000 ] || fail "rng"
echo "guest: rng"
""",
    "console": """\
exec 3<>/dev/hvc1
stty -F /dev/hvc1 raw -echo || fail "no console"  # while it is open, or Linux forgets it
echo "spoken to the console" >&3
read -r line <&3
[ "$line" = "spoken to the console" ] || fail "console: $line"
echo "guest: console $(stty -F /dev/hvc1 size)"
""",
    "i2c": f"""\
i2cdetect -y 0 | grep -q "^50: 50 --" || fail "i2cdetect: $(i2cdetect -y 0)"
i2cset -y 0 {CHIP_ADDRESS} {REGISTER} {WRITTEN} || fail i2cset
[ $(i2cget -y 0 {CHIP_ADDRESS} {REGISTER}) = {WRITTEN} ] || fail i2cget
i2cget -y 0 0x51 0 2>/dev/null && fail "a chip that is not there"
echo "guest: i2c"
""",
    "gpio": """\
cd /sys/class/gpio
base=$(cat gpiochip*/base)
[ $(cat gpiochip*/ngpio) = 8 ] || fail "lines"
echo $base > export && echo high > gpio$base/direction || fail "gpio"
[ $(cat gpio$base/value) = 1 ] || fail "gpio value"
echo "guest: gpio"
/devices edge /dev/gpiochip0 4 || fail "edge"
""",
    "input": """\
[ "$(cat /sys/class/input/input0/name)" = xen-virtio-test ] || fail "input"
/devices key /dev/input/event0 || fail "key"
""",
    "scsi": """\
grep -q XENVIRT /sys/class/scsi_device/*/device/vendor || fail "scsi"
echo "guest: scsi"
""",
    "sound": """\
grep -q VirtIO /proc/asound/cards && [ -c /dev/snd/pcmC0D0p ] || fail "sound"
echo "guest: sound"
""",
    "can": """\
ip link set can0 up && /can frames can0 300 || fail "can"
ip link set can0 down
/can frames can0 1 2>/dev/null && fail "a can controller that is stopped"
ip link set can0 up && /can busoff can0 || fail "bus off"
[ "$(cat /sys/class/net/can0/carrier)" = 0 ] || fail "carrier"
ip link set can0 down && ip link set can0 up && /can frames can0 30 || fail "can again"
echo "guest: can"
""",
    "spi": pages.files("spi")["/usr/local/sbin/add-chips"] + """\
/spi /dev/spidev0.0 /dev/spidev0.1 || fail "spi"
""",
    "other": """\
device=$(dirname $(readlink -f $(grep -l 0x003f /sys/bus/virtio/devices/*/device)))
platform=$(basename $(dirname $device))
echo $platform > /sys/bus/platform/drivers/virtio-mmio/unbind || fail unbind
/driver 0x${platform%%.*} $grants || fail "driver"
""",
}
BEGIN = """\
fail() { echo "guest: FAILED $*"; poweroff -f; }
echo "guest: ids $(cat /sys/bus/virtio/devices/*/device | sort | tr '\\n' ' ')"
"""
END = """\
until [ "$(stty -F /dev/hvc1 size)" = "25 81" ]; do sleep 0.1; done
if [ -b /dev/vda ]; then
    mkdir /mnt/disk
    mount -t ext4 /dev/vda /mnt/disk && (cd /mnt/disk && sha256sum -c SUMS) || fail "disk"
    echo done > /mnt/disk/done
    umount /mnt/disk || fail umount
fi
echo "guest: done"
"""

# Chips are for kernels with i2c-stub and gpio-sim, guests' grants for those with XEN_VIRTIO, and
# SPI and CAN for newer ones. The other devices work with Debian's kernel, too, which has drivers of
# them.
LAB_ALONE = ("i2c", "gpio", "spi", "can", "other")
KERNELS = ("lab", "stock") if os.environ.get("XEN_VIRTIO_LONG") else ("lab",)
pytestmark = pytest.mark.only_kernel("lab")


def put(dom0, path, text):
    """Writes a file in dom0."""
    (dom0.lab.share / "file").write_text(text, encoding="utf-8")
    dom0.check(f"mkdir -p {Path(path).parent} && cp /mnt/lab/file {path}")


@pytest.fixture(scope="module")
def chips(dom0):
    """dom0 has an i2c chip and GPIO lines, and programs that its users would have installed."""
    put(dom0, "/usr/libexec/vhost-device", (HERE / "vhost-device.sh").read_text(encoding="utf-8"))
    folders = ("/usr/bin", "/opt/bin", "/dev/input")
    dom0.check(f"mkdir -p {' '.join(folders)} && chmod +x /usr/libexec/vhost-device && "
               "mknod /dev/input/event0 c 13 64 && mknod /dev/spidev0.0 c 153 0")
    if dom0.kernel_kind == "lab":
        dom0.check("modprobe i2c-stub chip_addr=0x50 && { mountpoint -q /sys/kernel/config || "
                   "mount -t configfs c /sys/kernel/config; } && "
                   "cd /sys/kernel/config/gpio-sim && mkdir -p chip/bank && "
                   "echo 8 > chip/bank/num_lines && echo 1 > chip/live")
    for name in STAND_INS.values():
        folder = "/opt/bin" if name.startswith("my-") else "/usr/bin"
        dom0.check(f"ln -sf /usr/libexec/vhost-device {folder}/{name}")
    yield
    dom0.run("rm /dev/input/event0 /dev/spidev0.0; rmmod i2c-stub; "
             "cd /sys/kernel/config/gpio-sim && echo 0 > chip/live && rmdir chip/bank chip")


@pytest.fixture(scope="module")
def configured(dom0, chips):
    """All profiles of the pages are where the pages say."""
    for page in (*STAND_INS, "disk"):
        for name, text in pages.of_folder(page, PROFILES).items():
            put(dom0, f"{PROFILES}/{name}", text)
    dom0.check("systemctl restart xen-virtiod")
    yield
    dom0.check(f"rm -rf {PROFILES} {GUESTS} && systemctl restart xen-virtiod")


def guest_file(dom0, name, *of_pages):
    """Puts a guest's file in place: what these pages say of it."""
    put(dom0, f"{GUESTS}/{name}.conf",
        "".join(pages.of_folder(page, GUESTS).get(f"{name}.conf", "") for page in of_pages))


def test_pages_are_right(dom0, configured):
    """Each page's xl.cfg by itself, with its files in place."""
    dom0.check("mkdir -p /srv/guests && touch /srv/guests/guest1.img")
    for page in (*STAND_INS, "disk"):
        for name, text in pages.guests(page).items():
            guest_file(dom0, name, page)
            put(dom0, "/srv/guests/page.cfg", text)
            dom0.check("xen-virtioctl check /srv/guests/page.cfg")


def wait(guest, text):
    """Waits until the guest has said this, or has given up."""
    guest.wait_for(f"guest: FAILED\\|guest: {text}", timeout=180)
    assert "FAILED" not in guest.console(), guest.console()


def kill(dom0, guest, devid):
    """Makes a backend of the tests look at the world."""
    dom0.check(f"systemctl kill --signal=HUP xen-virtio-backend@{guest.created}-virtio-{devid}")


def ready_times(dom0, domid, names):
    """Milliseconds from the claim of each device to its backend's answer."""
    times = {}
    for devid, name in enumerate(names):
        story = dom0.journal(f"VIRTIO_DEVICE={domid}-virtio-{devid}", output="short-unix")
        [claimed] = re.findall(r"^(\d+\.\d+).*claimed MMIO range", story, re.MULTILINE)
        answered = re.findall(r"^(\d+\.\d+).*the backend answered", story, re.MULTILINE)
        times[name] = 1000 * (float(answered[0]) - float(claimed))
        assert "illegal" not in story
    return times


def edge_comes(dom0, guest):
    """The guest has set a line, and sees how dom0 changes another."""
    wait(guest, "waits for an edge")
    assert dom0.check(f"cat {CHIP}/sim_gpio0/value").strip() == "1"
    dom0.check(f"echo pull-up > {CHIP}/sim_gpio4/pull")
    wait(guest, "edge of line 4")
    dom0.check(f"echo pull-down > {CHIP}/sim_gpio4/pull")


def chip_was_written(dom0):
    """What the guest wrote is in the chip."""
    assert dom0.check(f"busybox i2cget -y 0 {CHIP_ADDRESS} {REGISTER}").strip() == WRITTEN
    dom0.check(f"busybox i2cset -y 0 {CHIP_ADDRESS} {REGISTER} 0")


def devices_work(dom0, grants, disks, names, tmp_path):
    """A guest uses its devices: these disks, and those of the pages with these names."""
    guest_file(dom0, NAME, *names)
    entries = [entry.replace("grant_usage=0", f"grant_usage={grants}")
               for page in names for entry in pages.entries(page, NAME, "virtio")]
    script = f"grants={'grants' if grants else ''}\n" + "".join(WORK[name] for name in names)
    files = {name: program.build(HERE / f"{name}.c", tmp_path).read_bytes() for name in PROGRAMS}
    guest = Guest(dom0, NAME, disks, BEGIN + script + END, kernel=dom0.kernel_kind, files=files,
                  devices=True, settings=f"virtio = {entries}\nmax_grant_frames = 128")
    dom0.check(f"touch /srv/guests/{NAME}-scsi.img")
    guest.create()
    if "gpio" in names:
        edge_comes(dom0, guest)
    wait(guest, "waits for a key")
    kill(dom0, guest, names.index("input"))
    wait(guest, "key 30, 1")
    kill(dom0, guest, names.index("console"))
    if "can" in names:
        wait(guest, "waits for bus off")
        kill(dom0, guest, names.index("can"))
    wait(guest, "done")
    said = guest.console()
    assert "guest: console 25 80" in said
    ids = " ".join(sorted(f"0x{int(re.search('device([0-9a-f]+)', entry)[1], 16):04x}"
                          for entry in [*entries, *["device2" for _ in disks]]))
    assert f"guest: ids {ids}" in said
    if "i2c" in names:
        chip_was_written(dom0)
    if "other" in names:
        assert f"guest: sent through {3 if grants else 8} queues" in said
    guest.wait_gone()
    return guest


@pytest.mark.only_kernel(*KERNELS)
def test_devices_at_work(dom0, configured, figures, tmp_path):
    disk = make_disk(dom0, NAME)
    assert [disk.entry(0)] == pages.entries("disk", NAME, "disk")
    names = [page for page in VIRTIO if dom0.kernel_kind == "lab" or page not in LAB_ALONE]
    guest = devices_work(dom0, 0, [disk], names, tmp_path)
    for page, msec in ready_times(dom0, guest.created, names).items():
        figures(f"{page}: claim to backend's answer", f"{msec:.0f} ms")
    check_image(dom0, disk, "[ $(cat done) = done ]")


def test_devices_with_grants(dom0, configured, tmp_path):
    """The same, with nothing mapped but what the guest grants; and a type that nobody knows.

    A sound card has more queues than there are regions for their rings.
    """
    names = [page for page in VIRTIO if page != "sound"]
    guest = devices_work(dom0, 1, [], names, tmp_path)
    story = dom0.journal(f"VIRTIO_DEVICE={guest.created}-virtio-0")
    assert "XEN_MMAP, grants" in story
    assert "illegal" not in story
