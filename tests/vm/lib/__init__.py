# SPDX-License-Identifier: GPL-2.0
"""What the tests of tests/vm share. Plain Python 3.11, nothing to install."""
