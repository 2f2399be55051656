# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian 13 packages for arm64, without touching the package state of this machine.

apt runs with a configuration, lists and cache of its own.  What a request resolved to is kept, so
that a later build needs no network and gives the same result until it is refreshed.
"""

import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from . import cache
from .ui import LabError, check, tail

SUITE = "trixie"
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-backports")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HELPER = "/usr/lib/apt/apt-helper"
ATTEMPTS = 3


@dataclass(frozen=True)
class File:
    """One file of the archive, with what proves that it is the right one."""

    name: str
    uri: str
    sha256: str


def machine_mirror():
    """The Debian mirror that this machine uses, or the default one."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    for path in files:
        if not path.is_file():
            continue
        for line in path.read_text(errors="replace").splitlines():
            match = re.match(r"(?:deb\b.*?|URIs:).*?(https?://\S+/debian)/?(?:\s|$)", line)
            if match:
                return match[1]
    return DEFAULT_MIRROR


class Apt:
    """apt for Debian 13 on arm64."""

    def __init__(self, console):
        self._console = console
        self._root = cache.root() / "apt"
        self._downloads = cache.root() / "downloads"
        self._updated = False

    def _configure(self):
        """Writes the configuration; the machine's own proxy settings are taken over."""
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d",
                       "etc/preferences.d", "etc/sources.list.d", "etc/trusted.gpg.d"):
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        (self._root / "state/status").touch()
        mirror = machine_mirror()
        sources = "".join(f"{kind} [signed-by={KEYRING}] {mirror} {suite} main\n"
                          for suite in SUITES for kind in ("deb", "deb-src"))
        cache.write_atomically(self._root / "etc/sources.list", sources)
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
        proxies = [line for line in dump.stdout.splitlines() if re.match(r"Acquire::.*Proxy", line)]
        cache.write_atomically(self._root / "apt.conf", "\n".join([
            f'Dir::State "{self._root}/state";', f'Dir::State::status "{self._root}/state/status";',
            f'Dir::Cache "{self._root}/cache";', f'Dir::Etc "{self._root}/etc";',
            'APT::Architecture "arm64";', 'APT::Architectures { "arm64"; };',
            'APT::Install-Recommends "false";', 'APT::Sandbox::User "root";',
            'Acquire::Languages "none";', 'Acquire::Retries "3";', *proxies, ""]))

    def _run(self, *argv):
        environment = dict(os.environ, APT_CONFIG=str(self._root / "apt.conf"), LC_ALL="C.UTF-8")
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)

    def _query(self, *argv):
        """Asks apt, with lists that are fetched first if there are none."""
        if not (self._root / "apt.conf").exists() or not list(
                (self._root / "state/lists").glob("*Packages*")):
            self.update()
        result = self._run(*argv)
        if result.returncode:
            raise LabError(f"{' '.join(argv[:3])}…: {result.stderr.strip()}")
        return result.stdout

    def update(self):
        """Fetches the lists of packages, once per run."""
        if self._updated:
            return
        self._configure()
        self._console.say("apt", f"lists of {', '.join(SUITES)} for arm64")
        for attempt in range(ATTEMPTS):
            result = self._run("apt-get", "-q", "update")
            if result.returncode == 0 and not re.search(r"^[EW]:.*Failed", result.stderr, re.M):
                self._updated = True
                return
            time.sleep(2 * attempt + 1)
        raise LabError(f"cannot fetch Debian's package lists:\n{result.stderr.strip()}")

    def _remembered(self, request, resolve):
        """What a request resolved to the first time, as files."""
        path = self._root / "resolved" / f"{cache.digest(request)}.json"
        if path.exists():
            return [File(**entry) for entry in json.loads(path.read_text())["files"]]
        with cache.lock("apt"):
            files = resolve()
        entry = {"request": request, "files": [asdict(file) for file in files]}
        cache.write_atomically(path, json.dumps(entry, indent=1))
        return files

    def refresh(self):
        """Forgets what requests resolved to, so that the newest versions are taken."""
        shutil.rmtree(self._root / "resolved", ignore_errors=True)
        with cache.lock("apt"):
            self.update()

    def packages(self, names):
        """These packages and all that they depend on."""
        return self._remembered(["packages", *names], lambda: self._closure(names))

    def _closure(self, names):
        # "install --print-uris" would name MD5 sums; "download" names SHA-256.
        plan = self._query("apt-get", "install", "--simulate", "-q", *names)
        chosen = re.findall(r"^Inst (\S+) \((\S+) ", plan, re.M)
        return _parse_uris(self._query("apt-get", "download", "--print-uris", "-q",
                                       *(f"{name}={version}" for name, version in chosen)))

    def single(self, name, otherwise=None):
        """One package alone; if it is not there, the newest whose name matches a pattern."""
        return self._remembered(["single", name, otherwise],
                                lambda: self._alone(name, otherwise))[0]

    def _alone(self, name, otherwise):
        names = self._query("apt-cache", "pkgnames").split()
        if name not in names and otherwise:
            matching = [other for other in names if re.fullmatch(otherwise, other)]
            name = max(matching, key=_numbers, default=name)
        return _parse_uris(self._query("apt-get", "download", "--print-uris", "-q", name))

    def upstream_source(self, name):
        """The upstream tarball of a source package."""
        return self._remembered(["source", name], lambda: [self._find_tarball(name)])[0]

    def _find_tarball(self, name):
        text = self._query("apt-cache", "showsrc", "--only-source", name)
        pattern = r"^ ([0-9a-f]{64}) \d+ (\S+\.orig\.tar\.\w+)$"
        for paragraph in text.split("\n\n"):
            found = re.search(pattern, paragraph, re.M)
            folder = re.search(r"^Directory: (\S+)$", paragraph, re.M)
            if found and folder:
                return File(found[2], f"{machine_mirror()}/{folder[1]}/{found[2]}", found[1])
        raise LabError(f"Debian {SUITE} has no source package {name}")

    def fetch(self, part, files):
        """Downloads what is not there yet; returns the paths in the same order."""
        self._downloads.mkdir(parents=True, exist_ok=True)
        paths = [self._downloads / f"{file.sha256[:12]}-{file.name}" for file in files]
        missing = [(file, path) for file, path in zip(files, paths, strict=True)
                   if not path.exists() and not self._from_local_folder(file, path)]
        if missing:
            self._console.say(part, f"downloading {len(missing)} files")
            self._download(part, missing)
        return paths

    def _from_local_folder(self, file, path):
        """Takes a file that somebody already downloaded, if it is the right one."""
        folder = os.environ.get("XEN_VIRTIO_DOWNLOADS")
        candidate = Path(folder) / file.name if folder else None
        if not candidate or not candidate.is_file() or cache.file_sha256(candidate) != file.sha256:
            return False
        partial = path.with_name(path.name + ".copy")
        shutil.copyfile(candidate, partial)
        partial.replace(path)
        return True

    def _download(self, part, missing):
        """apt-helper downloads, retries, and checks the hashes."""
        log = cache.logs() / "download.log"
        argv = [HELPER, "download-file"]
        for file, path in missing:
            argv += [file.uri, f"{path}.part", f"SHA256:{file.sha256}"]
        environment = dict(os.environ, APT_CONFIG=str(self._root / "apt.conf"))
        if not (self._root / "apt.conf").exists():
            self._configure()
        try:
            self._console.run(part, argv, log, env=environment)
        except LabError as error:
            raise MissingFile(f"{part}: a download failed; the end of {log}:\n{tail(log)}"
                              ) from error
        for _, path in missing:
            path.with_name(path.name + ".part").replace(path)

    def extract(self, part, files, folder):
        """Unpacks packages into a folder whose /usr is merged, without running anything."""
        make_merged_usr(folder)
        paths = self.fetch(part, files)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda path: check("dpkg-deb", "--extract", path, folder), paths))


class MissingFile(LabError):
    """The archive no longer has a file that its lists named."""


def make_merged_usr(folder):
    """/bin, /lib and /sbin are links in Debian 13; packages that still ship /lib follow them."""
    for name in ("bin", "lib", "sbin"):
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"usr/{name}")


def _numbers(name):
    return [int(part) for part in re.findall(r"\d+", name)]


def _parse_uris(text):
    """The lines of apt-get --print-uris."""
    pattern = r"^'(\S+)' (\S+) \d+ SHA256:([0-9a-f]{64})$"
    files = [File(name, uri, sha) for uri, name, sha in re.findall(pattern, text, re.M)]
    if not files:
        raise LabError(f"apt named no files: {text[:500]}")
    return files
