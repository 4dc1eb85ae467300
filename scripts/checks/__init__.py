# SPDX-License-Identifier: GPL-2.0
"""What scripts/check is made of."""
