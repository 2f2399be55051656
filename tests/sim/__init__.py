# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real frontend on a simulated hypervisor: xen.py and guest.py around it, backend.py below."""
