# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scripts/check-* programs share: the list of files, and how problems are reported."""

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
FOLDERS = ("common", "frontend", "orchestrator", "preload", "units", "scripts", "tests", "docs")
PRODUCT = ("common", "frontend", "orchestrator", "preload")
SKIPPED = 77


def files(*suffixes, folders=FOLDERS):
    """All files with these suffixes, as paths relative to the root of the source."""
    return sorted(path.relative_to(SOURCE) for folder in folders
                  for path in (SOURCE / folder).rglob("*")
                  if path.suffix in suffixes and path.is_file())


def c_files(folders=FOLDERS):
    """All C files."""
    return files(".c", ".h", folders=folders)


def python_files():
    """All Python files, also the programs without a suffix."""
    scripts = [path.relative_to(SOURCE) for folder in FOLDERS
               for path in (SOURCE / folder).rglob("*")
               if path.is_file() and not path.suffix and "python3" in first_line(path)]
    return sorted(files(".py") + scripts)


def first_line(path):
    """The first line of a file; of a binary one, nothing of use."""
    with open(path, "rb") as file:
        return file.readline(200).decode(errors="replace")


def read(path):
    """The text of a file of the source."""
    return (SOURCE / path).read_text(encoding="utf-8")


def report(problems, what):
    """Prints what was found, and exits."""
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems in {what}")
    sys.exit(1 if problems else 0)


def skip(reason):
    """Exits so that the reason is shown and nothing counts as passed."""
    print(reason)
    sys.exit(SKIPPED)


def run(*argv):
    """Runs a tool over the source; its findings are its output. Returns whether it found none."""
    return subprocess.run([str(word) for word in argv], cwd=SOURCE).returncode == 0
