#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fail2ban itself: from a line in a log to a client that is refused, by a rule for each and by a set."""

import os
import tempfile
from contextlib import ExitStack

from lib.check import expect, expect_equal, main, needs, test
from lib.daemon import running
from lib.hosts import Host, cable, listening, reaches, refused
from lib.iptables import run, save

SERVER, CLIENT, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
PROGRAM = "/usr/bin/fail2ban-server"

JAILS = ("rules", "set")
SETTINGS = """\
[DEFAULT]
backend = polling
bantime = 600
findtime = 600
maxretry = 3
usedns = no

[rules]
enabled = true
filter = probe
logpath = {directory}/rules.log
action = iptables-multiport[name=rules, port="80,8080", protocol=tcp]

[set]
enabled = true
filter = probe
logpath = {directory}/set.log
action = iptables-ipset-proto6-allports[name=set]
"""
FILTER = "[Definition]\nfailregex = ^refused: <HOST>$\ndatepattern = {NONE}\n"

server, client = Host("server"), Host("client")


def build() -> None:
    cable(server, f"eth0={SERVER}/24", client, f"eth0={CLIENT}/24")
    client.address("eth0", f"{OTHER}/24")


def failed(directory: str, name: str, address: str) -> None:
    with open(f"{directory}/{name}.log", "a", encoding="ascii") as file:
        file.write(f"refused: {address}\n" * 3)


def rules() -> list[str]:
    with server:
        return [line for line in save(options="") if line.startswith("-A")]


def members() -> list[str]:
    with server:
        done = run("ipset", "list", "f2b-set")
    return [line.split()[0] for line in done.output.partition("Members:\n")[2].splitlines()]


def settings(directory: str) -> None:
    for name in JAILS:
        with open(f"{directory}/{name}.log", "w", encoding="ascii"):
            pass
    with open("/etc/fail2ban/filter.d/probe.conf", "w", encoding="ascii") as file:
        file.write(FILTER)
    with open("/etc/fail2ban/fail2ban.local", "w", encoding="ascii") as file:
        file.write("[Definition]\ndbfile = None\n")
    with open("/etc/fail2ban/jail.local", "w", encoding="ascii") as file:
        file.write(SETTINGS.format(directory=directory))
    # Debian's own jail is about a log that is not here.
    for name in os.listdir("/etc/fail2ban/jail.d"):
        os.unlink(f"/etc/fail2ban/jail.d/{name}")


@test
def bans() -> None:
    needs(PROGRAM)
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        settings(directory)
        client_of = ("fail2ban-client", "-s", f"{directory}/socket", "-p", f"{directory}/pid")
        daemon = stack.enter_context(running(server, PROGRAM, "-f", "-s", f"{directory}/socket", "-p",
                                             f"{directory}/pid", "--logtarget", "STDOUT", "start"))
        opened = stack.enter_context(listening(server, 80))
        daemon.wait_for(lambda: all(f"Jail '{name}' started" in daemon.said() for name in JAILS), "its jails")
        reaches(client, (SERVER, 80), opened, CLIENT)
        failed(directory, "rules", CLIENT)
        daemon.wait_for(lambda: any(f"-s {CLIENT}/32" in line for line in rules()), "a rule for the client")
        refused(client, (SERVER, 80))
        reaches(client, (SERVER, 80), opened, OTHER, source=OTHER)
        failed(directory, "set", OTHER)
        daemon.wait_for(lambda: OTHER in members(), "the other client in the set")
        refused(client, (SERVER, 80), source=OTHER)
        server.run(*client_of, "unban", "--all")
        reaches(client, (SERVER, 80), opened, CLIENT)
        reaches(client, (SERVER, 80), opened, OTHER, source=OTHER)
        # Its rule is deleted and then its set, which must be free.
        server.run(*client_of, "stop")
        daemon.end()
        expect("ERROR" not in daemon.said(), f"errors: {daemon.said()}")
    expect_equal(rules(), [], "rules without it")
    with server:
        expect_equal(run("ipset", "list", "-n").output, "", "sets without it")


if __name__ == "__main__":
    build()
    main()
