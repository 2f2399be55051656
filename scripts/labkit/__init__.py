# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab: a real Xen host under emulation, built, booted and used by scripts/lab."""
