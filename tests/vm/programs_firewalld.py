#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""firewalld itself, with FirewallBackend=iptables: started, asked and told by firewall-cmd, reloaded, stopped."""

import os
import re
from contextlib import ExitStack

from lib import iptables
from lib.check import expect, expect_equal, expect_in, main, needs, test
from lib.daemon import Daemon, running
from lib.family import BOTH
from lib.hosts import Host, cable, listening, reaches, refused
from lib.iptables import run

SERVER, CLIENT, INSIDE = "192.0.2.1", "192.0.2.2", "10.1.0.7"
PROGRAM, SETTINGS = "/usr/sbin/firewalld", "/etc/firewalld/firewalld.conf"
BUS = "/run/dbus/system_bus_socket"

server, client, inside = Host("server", forwards=True), Host("client"), Host("inside")


def build() -> None:
    cable(server, f"eth0={SERVER}/24", client, f"eth0={CLIENT}/24")
    cable(server, "eth1=10.1.0.1/24", inside, f"eth0={INSIDE}/24")
    client.default(SERVER)
    inside.default("10.1.0.1")


def settings() -> None:
    with open(SETTINGS, encoding="utf-8") as file:
        text = file.read()
    for name, value in (("FirewallBackend", "iptables"), ("LogDenied", "off")):
        text = re.sub(rf"(?m)^{name}=.*$", f"{name}={value}", text)
    with open(SETTINGS, "w", encoding="utf-8") as file:
        file.write(text)
    os.makedirs("/run/dbus", exist_ok=True)
    with open("/etc/passwd", encoding="ascii") as file:
        known = file.read()
    if "messagebus" not in known:  # what dbus's package does
        for file_name, line in (("passwd", "messagebus:x:101:101::/nonexistent:/usr/sbin/nologin\n"),
                                ("group", "messagebus:x:101:\n")):
            with open(f"/etc/{file_name}", "a", encoding="ascii") as file:
                file.write(line)


def command(*words: str) -> str:
    return server.run("firewall-cmd", *words).strip()


def state() -> str:
    with server:
        return run("firewall-cmd", "--state").output.strip()


def rules() -> list[str]:
    with server:
        return [line for family in BOTH for line in iptables.save(options="", table="", family=family)
                if line.startswith("-A")]


def started(stack: ExitStack) -> Daemon:
    bus = stack.enter_context(running(server, "dbus-daemon", "--system", "--nofork", "--nopidfile"))
    bus.wait_for(lambda: os.path.exists(BUS), "the bus")
    daemon = stack.enter_context(running(server, PROGRAM, "--nofork", "--nopid"))
    daemon.wait_for(lambda: state() == "running", "firewalld")
    return daemon


@test
def zones_and_ports() -> None:
    needs(PROGRAM)
    settings()
    with ExitStack() as stack:
        daemon = started(stack)
        expect(len(rules()) > 200, f"{len(rules())} rules of both families")
        opened = stack.enter_context(listening(server, 80))
        refused(client, (SERVER, 80))
        for zone, device in (("public", "eth0"), ("trusted", "eth1")):
            expect_equal(command(f"--zone={zone}", f"--change-interface={device}"), "success", zone)
        for option in ("--add-port=80/tcp", f"--add-forward-port=port=2222:proto=tcp:toport=22:toaddr={INSIDE}",
                       "--add-masquerade", "--add-service=ftp",
                       "--add-rich-rule=rule family=ipv4 source address=192.0.2.99 drop"):
            expect_equal(command("--zone=public", option), "success", option)
        reaches(client, (SERVER, 80), opened, CLIENT)
        shell = stack.enter_context(listening(inside, 22))
        reaches(client, (SERVER, 2222), shell, CLIENT)
        with listening(client, 99) as asked:
            reaches(inside, (CLIENT, 99), asked, SERVER)
        expect_in("80/tcp", command("--zone=public", "--list-ports"))
        before = rules()
        expect(any("192.0.2.99/32 -j DROP" in line for line in before), "the rich rule is not there")
        expect_equal(command("--reload"), "success")  # which forgets what is not permanent
        after = rules()
        expect(len(after) < len(before) and not any("192.0.2.99" in line for line in after), "rules after a reload")
        refused(client, (SERVER, 80))
        daemon.process.terminate()
        daemon.end()
        expect("ERROR" not in daemon.said(), f"errors: {daemon.said()}")
        expect_equal(rules(), [], "rules without it")


if __name__ == "__main__":
    build()
    main()
