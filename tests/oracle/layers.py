# SPDX-License-Identifier: GPL-2.0
"""Routers whose devices are more than cables: long frames, a VLAN, a bridge.

               in1 ---- in1.5        what is tagged on in1's link comes in here; 10.6/16 is behind it
    out1 ---- br0                    out1 is a port of the bridge, which has its addresses
"""

import socket

import traffic
from lib import iptables, mark, packet
from lib.family import V6
from lib.netns import ip
from lib.router import LINKS
from machine import Machine, Tap

VLAN, TAG = "in1.5", 5
BRIDGE, PORT = "br0", "out1"
ETH_P_8021Q = 0x8100

SOL_PACKET, PACKET_VNET_HDR = 263, 15
LONG = 9000


class LongFrames(Machine):
    """Takes packets that lie in pages, and such as are to be segmented."""

    def __init__(self, tracking: bool) -> None:
        super().__init__(tracking)
        self.router.ip(f"link set {link.inner} mtu {LONG}" for link in LINKS.values())
        self._offloading: dict[str, socket.socket] = {}
        for link in LINKS.values():
            with self._side(link):
                ip([f"link set {link.outer} mtu {LONG}"])
                opened = self._keep(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                opened.bind((link.outer, 0))
                opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
                self._offloading[link.inner] = opened

    def inject_packet(self, one: traffic.Packet) -> None:
        if not one.offload:
            super().inject_packet(one)
            return
        link = LINKS[one.origin]
        kind = packet.ETH_P_IPV6 if packet.version_of(one.data) == 6 else packet.ETH_P_IP
        frame = packet.ethernet(packet.mac(link.inner_mac), packet.mac(link.outer_mac), one.data, kind)
        self._offloading[one.origin].send(one.offload + frame)


class Layered(Machine):
    """Has a VLAN and a bridge."""

    def __init__(self, tracking: bool) -> None:
        super().__init__(tracking)
        in1, out1 = LINKS["in1"], LINKS[PORT]
        vlan = in1._replace(inner=VLAN, network="10.6")
        bridge = out1._replace(inner=BRIDGE)
        with self:
            iptables.run("modprobe", "-a", "8021q", "bridge")
        self.router.ip([
            f"link add link in1 name {VLAN} type vlan id {TAG}", _up(VLAN), *vlan.routes(self._mute),
            # IPv6 lets no gateway be on another device than its address.
            f"route delete {V6.address('10.4.0.0/16')} dev {PORT}", f"route delete fd00:4::/32 dev {PORT}",
            f"address flush dev {PORT}",
            f"link add {BRIDGE} address {out1.inner_mac} type bridge mcast_snooping 0",
            f"link set {PORT} master {BRIDGE}", _up(BRIDGE), *bridge.routes(self._mute)])
        with self.router:
            for device in (VLAN, BRIDGE):
                self._taps[device] = Tap(device)
            self._marks_in[PORT] = self._keep(mark.open_on(BRIDGE))
        mark.wait_for_link(self._marks_in[PORT], self._marks_out[PORT])

    def put(self, one: traffic.Packet) -> None:
        """What is behind the bridge comes in at its port, and is looked for there: a frame for another
        MAC never reaches the bridge itself."""
        super().put(one._replace(origin=PORT) if one.origin == BRIDGE else one)

    def inject_packet(self, one: traffic.Packet) -> None:
        if one.origin != VLAN:
            super().inject_packet(one)
            return
        link = LINKS["in1"]
        kind = packet.ETH_P_IPV6 if packet.version_of(one.data) == 6 else packet.ETH_P_IP
        tagged = TAG.to_bytes(2, "big") + kind.to_bytes(2, "big") + one.data
        self.frame("in1", packet.ethernet(packet.mac(one.mac or link.inner_mac), packet.mac(link.outer_mac), tagged,
                                          ETH_P_8021Q))


def _up(device: str) -> str:
    return f"link set {device} arp off multicast off up"
