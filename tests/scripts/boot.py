#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boots machines on which bpfilter is installed and cannot be loaded: they have their firewall.

The same with modules that are put aside or spoilt is tests/vm/install.py.
"""

import subprocess
import tempfile
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]

# What a machine does at boot, and what can be seen then.
RESTORE = r"""
set -e
printf '%s\n' '*filter' ':INPUT DROP' ':FORWARD ACCEPT' ':OUTPUT ACCEPT' '-A INPUT -i lo -j ACCEPT' 'COMMIT' >rules
iptables-legacy-restore rules
ip6tables-legacy-restore rules
iptables-legacy -S
ip6tables-legacy -S
iptables-legacy -t nat -S
cut -d' ' -f1 /proc/modules | sed 's/^/module: /'
dmesg | sed -n 's/.*bpfilter: /said: /p'
"""


class Boot(unittest.TestCase):
    def boot(self, kernel: str, *arguments: str, before: str = "") -> list[str]:
        done = subprocess.run([f"{TREE}/scripts/vm", "-k", kernel, "--timeout", "300", *arguments, "--",
                               before + RESTORE], text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.splitlines()

    def expect_firewall_without_bpfilter(self, seen: list[str], why: str) -> None:
        self.assertEqual(seen.count("-P INPUT DROP"), 2, seen)
        self.assertEqual(seen.count("-A INPUT -i lo -j ACCEPT"), 2, seen)
        for name in ("iptable_filter", "ip6table_filter", "iptable_nat"):
            self.assertIn(f"module: {name}", seen)
        self.assertNotIn("module: bpfilter", seen)
        said = [line for line in seen if line.startswith("said: cannot be loaded")]
        self.assertEqual(len(said), 1, seen)
        self.assertIn("so iptables gets ip_tables", said[0])
        self.assertIn(why, said[0])

    def test_installed_for_another_kernel(self) -> None:
        with tempfile.TemporaryDirectory(prefix="bpfilter-boot.") as root:
            subprocess.run(["make", "-s", "-C", TREE, "install", "KVER=6.1", f"DESTDIR={root}"], check=True)
            adds = [f"--add={root}/{part}:/{part}" for part in ("lib", "etc", "usr")]
            seen = self.boot("6.12", "--no-modules", *adds)
        self.expect_firewall_without_bpfilter(seen, "Module bpfilter not found")

    def test_signatures_are_demanded(self) -> None:
        """As under Secure Boot; ours have none, those of the kernel have."""
        seen = self.boot("6.1", before="echo 1 >/sys/module/module/parameters/sig_enforce\n")
        self.expect_firewall_without_bpfilter(seen, "could not insert 'bpfilter'")


if __name__ == "__main__":
    unittest.main()
