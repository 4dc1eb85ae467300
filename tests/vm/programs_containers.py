#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What gives containers their network: the CNI plugins bridge and portmap, and netavark. Each writes its rules itself.

    outside 192.0.2.2 -- eth0 [ host 192.0.2.1 ] bridge of theirs -- web, :80
"""

import json
import tempfile
from typing import Any

from lib import iptables
from lib.check import expect, expect_equal, expect_in, main, needs, test
from lib.family import TABLES
from lib.hosts import Host, cable, listening, reaches, refused
from lib.iptables import must

CNI, NETAVARK = "/usr/lib/cni", "/usr/lib/podman/netavark"
OUTER, NEAR = "192.0.2.1", "192.0.2.2"
BRIDGE: dict[str, Any] = {
    "cniVersion": "0.4.0", "name": "net", "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True,
    "hairpinMode": True,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
PORTS: dict[str, Any] = {
    "cniVersion": "0.4.0", "name": "net", "type": "portmap", "capabilities": {"portMappings": True},
    "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                                       {"hostPort": 5353, "containerPort": 53, "protocol": "udp"}]}}

host, outside = Host("host", forwards=True), Host("outside")


def build() -> None:
    cable(host, f"eth0={OUTER}/24", outside, f"eth0={NEAR}/24")


def rules() -> list[str]:
    with host:
        return [line for line in iptables.save(options="", table="") if line.startswith("-A")]


def cni(command: str, guest: Host, config: dict[str, Any]) -> dict[str, Any]:
    environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": guest.name, "CNI_NETNS": f"/run/netns/{guest.name}",
                   "CNI_IFNAME": "eth0", "CNI_PATH": CNI}
    text = host.run("env", *(f"{name}={value}" for name, value in environment.items()), f"{CNI}/{config['type']}",
                    stdin=json.dumps(config))
    return dict(json.loads(text)) if text else {}


def published(guest: Host, gateway: str) -> None:
    """Ports 8080 and 5353 of the host are 80 and 53 of the guest, for everybody."""
    with listening(guest, 80) as opened, listening(guest, 53, "udp") as asked:
        reaches(outside, (OUTER, 8080), opened, NEAR)
        reaches(outside, (OUTER, 5353), asked, NEAR, "udp")
        reaches(host, (OUTER, 8080), opened, OUTER)
        reaches(host, ("127.0.0.1", 8080), opened, gateway)
    refused(outside, (OUTER, 8080))
    with listening(outside, 80) as opened:
        reaches(guest, (NEAR, 80), opened, OUTER)


@test
def cni_plugins() -> None:
    needs(CNI)
    guest, other = Host("web"), Host("other")
    result = cni("ADD", guest, BRIDGE)
    expect_in("10.88.", result["ips"][0]["address"])
    cni("ADD", guest, PORTS | {"prevResult": result})
    expect(any("CNI-DN-" in line and "--dport 8080" in line for line in rules()), f"portmap's rules: {rules()}")
    published(guest, "10.88.0.1")
    cni("ADD", other, BRIDGE)
    with listening(guest, 80) as opened:
        reaches(other, (OUTER, 8080), opened, "10.88.0.1")
        reaches(guest, (OUTER, 8080), opened, "10.88.0.1")
    for one, config in ((guest, PORTS | {"prevResult": result}), (guest, BRIDGE), (other, BRIDGE)):
        cni("DEL", one, config)
    left = [line for line in rules() if "10.88." in line or "8080" in line]
    expect_equal(left, [], "rules of containers that are gone")
    with host:
        for table in TABLES:
            must(iptables.IPTABLES, "-t", table, "-F")
            must(iptables.IPTABLES, "-t", table, "-X")


@test
def netavark() -> None:
    needs(NETAVARK)
    guest = Host("web")
    network = {"name": "podman", "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
               "driver": "bridge", "network_interface": "podman1", "internal": False, "ipv6_enabled": False,
               "subnets": [{"subnet": "10.89.0.0/24", "gateway": "10.89.0.1"}], "dns_enabled": False,
               "ipam_options": {"driver": "host-local"}}
    mappings = [{"container_port": inner, "host_port": outer, "host_ip": "", "protocol": kind, "range": 1}
                for outer, inner, kind in ((8080, 80, "tcp"), (5353, 53, "udp"))]
    config = {"container_id": "c" * 64, "container_name": "web", "port_mappings": mappings,
              "networks": {"podman": {"static_ips": ["10.89.0.2"], "interface_name": "eth0"}},
              "network_info": {"podman": network}}
    with tempfile.TemporaryDirectory() as directory:
        def run(command: str) -> str:
            return host.run("env", "NETAVARK_FW=iptables", NETAVARK, "--config", directory, "--file",
                            f"{directory}/network", command, f"/run/netns/{guest.name}")
        with open(f"{directory}/network", "w", encoding="ascii") as file:
            json.dump(config, file)
        expect_in("10.89.0.2", run("setup"))
        expect(any("--dport 8080" in line and "10.89.0.2:80" in line for line in rules()), f"its rules: {rules()}")
        published(guest, "10.89.0.1")
        run("teardown")
    expect_equal([line for line in rules() if "10.89.0." in line], [], "rules of a container that is gone")
    refused(outside, (OUTER, 8080))


if __name__ == "__main__":
    build()
    main()
