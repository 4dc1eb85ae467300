#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""ufw itself: what it asks of a kernel before it works with it, and `ufw enable`, in both families at once."""

import os
import shutil

from lib import iptables
from lib.check import expect, expect_equal, expect_in, main, needs, test
from lib.family import BOTH
from lib.hosts import Host, cable, kept_out, listening, reaches, refused_after
from lib.iptables import Counters

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"
PROGRAM, SHARED, SETTINGS = "/usr/sbin/ufw", "/usr/share/ufw", "/etc/ufw"

server, client = Host("server"), Host("client")


def build() -> None:
    cable(server, f"eth0={SERVER}/24", client, f"eth0={CLIENT}/24")


def installed() -> None:
    """What the package's script does."""
    needs(PROGRAM)
    for name in os.listdir(SHARED):
        if name.endswith((".rules", ".init", ".conf")) and not os.path.exists(f"{SETTINGS}/{name}"):
            shutil.copy(f"{SHARED}/{name}", SETTINGS)


def ufw(*words: str) -> str:
    return server.run("ufw", *words)


def dropped() -> int:
    with server:
        return Counters().policy["INPUT"].packets


def rules() -> dict[int, list[str]]:
    with server:
        return {family.number: [line for line in iptables.save(options="", family=family) if line.startswith("-A")]
                for family in BOTH}


def decides() -> None:
    """It lets in and keeps out as it was told, and follows commands."""
    with listening(server, 80) as opened, listening(server, 22) as shell, listening(server, 81):
        reaches(client, (SERVER, 80), opened, CLIENT)
        kept_out(client, (SERVER, 81), dropped)
        refused_after(5, 30, client, (SERVER, 22), shell)
        expect_in("Rule deleted", ufw("delete", "allow", "80/tcp"))
        kept_out(client, (SERVER, 80), dropped)


def is_gone() -> None:
    """There is nothing of it that decides."""
    with server:
        for family in BOTH:
            policies = {line.split()[1] for line in iptables.save(family=family) if line.startswith(":")}
            expect_equal(policies - {"-"}, {"ACCEPT"}, f"policies without it, IPv{family.number}")
    with listening(server, 81) as opened:
        reaches(client, (SERVER, 81), opened, CLIENT)


@test
def requirements() -> None:
    """All that it wants to know, in both families, passes."""
    installed()
    text = server.run(f"{SHARED}/check-requirements", "-f")
    expect_in("All tests passed", text)
    expect("FAIL" not in text and text.count("pass") > 30, f"what it found: {text}")


@test
def enabled() -> None:
    """Then told to do otherwise, loaded anew, and switched off."""
    installed()
    expect_in("Rules updated", ufw("allow", "80/tcp"))
    expect_in("Rules updated", ufw("limit", "22/tcp"))
    expect_in("Firewall is active", ufw("--force", "enable"))
    text = ufw("status")
    for line in ("Status: active", "80/tcp                     ALLOW       Anywhere", "80/tcp (v6)",
                 "22/tcp                     LIMIT       Anywhere"):
        expect_in(line, text)
    decides()
    before = rules()
    expect(min(map(len, before.values())) > 50, f"rules: {before}")
    ufw("reload")
    expect_equal(rules(), before, "rules after a reload")
    expect_in("Firewall stopped", ufw("disable"))
    is_gone()


if __name__ == "__main__":
    build()
    main()
