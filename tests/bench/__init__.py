# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a request costs the guest that makes it; scripts/bench runs this."""
