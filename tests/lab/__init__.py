# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real guests on a real Xen: what is done when it works here."""
