#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What the matches of TCP, UDP and ICMP ask: packets that must and packets that must not match."""

from lib.cases import Packet, case, fragment, of_icmp, of_tcp, of_udp
from lib.check import main, test, test4
from lib.packet import ACK, ECE, FIN, ICMP, PSH, RST, SYN, TCP, UDP, URG, icmp, tcp, udp


# TCP

SHORT_TCP = [Packet(TCP, tcp()[:length]) for length in (0, 1, 4, 13, 19)]
TCP_FRAGMENT_1 = fragment(TCP, tcp(), 1)
TCP_FRAGMENT_2 = fragment(TCP, tcp(), 2)


@test
def tcp_destination_port() -> None:
    case("-p tcp --dport 80", [of_tcp(80, 80), of_tcp(1, 80)],
         [of_tcp(80, 79), of_tcp(80, 81), of_udp(80, 80)], SHORT_TCP)


@test
def tcp_source_port() -> None:
    case("-p tcp --sport 1024", [of_tcp(1024, 80)], [of_tcp(1023, 1024), of_tcp(1025, 80)],
         SHORT_TCP)


@test
def tcp_port_ranges() -> None:
    case("-p tcp --sport 1000:2000 --dport 80:90",
         [of_tcp(1000, 80), of_tcp(2000, 90), of_tcp(1500, 85)],
         [of_tcp(999, 80), of_tcp(2001, 80), of_tcp(1000, 79), of_tcp(1000, 91)], SHORT_TCP)
    case("-p tcp --dport :100", [of_tcp(1, 0), of_tcp(1, 100)], [of_tcp(1, 101)])
    case("-p tcp --dport 65000:", [of_tcp(1, 65000), of_tcp(1, 65535)], [of_tcp(1, 64999)])


@test4
def tcp_ports_negated() -> None:
    case("-p tcp ! --sport 1000:2000 ! --dport 80", [of_tcp(999, 79), of_tcp(2001, 81)],
         [of_tcp(1000, 79), of_tcp(999, 80), of_tcp(1500, 80)], SHORT_TCP)


@test
def tcp_syn() -> None:
    syn = [of_tcp(flags=SYN), of_tcp(flags=SYN | PSH), of_tcp(flags=SYN | ECE | URG)]
    rest = [of_tcp(flags=flags) for flags in (0, ACK, SYN | ACK, SYN | RST, FIN, SYN | FIN)]
    case("-p tcp --syn", syn, rest, SHORT_TCP)
    case("-p tcp ! --syn", rest, syn, SHORT_TCP)


@test
def tcp_flags() -> None:
    case("-p tcp --tcp-flags ALL NONE", [of_tcp(flags=0), of_tcp(flags=ECE)],
         [of_tcp(flags=FIN), of_tcp(flags=URG)])
    case("-p tcp --tcp-flags SYN,FIN SYN,FIN", [of_tcp(flags=SYN | FIN), of_tcp(flags=0x3F)],
         [of_tcp(flags=SYN), of_tcp(flags=FIN), of_tcp(flags=0)])
    case("-p tcp ! --tcp-flags FIN,SYN,RST,ACK ACK", [of_tcp(flags=ACK | FIN), of_tcp(flags=0)],
         [of_tcp(flags=ACK), of_tcp(flags=ACK | PSH)])


NOP, MSS, WINDOW, SACK, TIME = b"\1", b"\2\4\5\xb4", b"\3\3\7", b"\4\2", b"\x08\x0a" + b"t" * 8


@test
def tcp_option() -> None:
    have = [of_tcp(options=MSS), of_tcp(options=NOP + NOP + SACK + MSS),
            of_tcp(options=TIME + NOP + MSS), of_tcp(options=b"\0\0\0\0" + MSS)]
    lack = [of_tcp(), of_tcp(options=NOP * 4), of_tcp(options=TIME),
            of_tcp(options=b"\x22\x04\x02\x02"), of_tcp(options=WINDOW + NOP),
            of_tcp(options=b"\x05\x04\x02\x04")]
    broken = [of_tcp(offset=4), of_tcp(offset=0), of_tcp(offset=6), of_tcp(offset=15)]
    case("-p tcp --tcp-option 2", have, lack, SHORT_TCP + broken)
    case("-p tcp ! --tcp-option 2", lack, have, SHORT_TCP + broken)


@test
def tcp_option_odd_lengths() -> None:
    """A length of 0 or 1 is taken for 1; one that leads beyond the header ends the search."""
    case("-p tcp --tcp-option 2",
         [of_tcp(options=b"\x09\x00\x02\x04"), of_tcp(options=b"\x09\x01\x02\x04"),
          of_tcp(options=b"\x01\x01\x01\x02")],
         [of_tcp(options=b"\x09\xff\x02\x04"), of_tcp(options=b"\x01\x01\x01\x09")])


@test4
def tcp_option_after_the_rest() -> None:
    """A bad data offset matters only to a packet that passed the ports and flags."""
    case("-p tcp --dport 80 --syn --tcp-option 2", [of_tcp(1, 80, options=MSS)],
         [of_tcp(1, 81, offset=4), of_tcp(1, 80, ACK, offset=4)], [of_tcp(1, 80, offset=4)])


@test4
def tcp_fragments() -> None:
    case("-p tcp --dport 80", [], [TCP_FRAGMENT_2], [TCP_FRAGMENT_1],
         hooks=("FORWARD", "OUTPUT"))
    case("-p tcp ! --dport 80", [], [TCP_FRAGMENT_2], [TCP_FRAGMENT_1],
         hooks=("FORWARD", "OUTPUT"))
    case("-p tcp", [TCP_FRAGMENT_1, TCP_FRAGMENT_2], [], hooks=("FORWARD", "OUTPUT"))


@test
def tcp_nothing_asked() -> None:
    case("-p tcp -m tcp", [of_tcp(), of_tcp(flags=0)], [of_udp()], SHORT_TCP)


# UDP

SHORT_UDP = [Packet(UDP, udp()[:length]) for length in (0, 3, 7)]


@test
def udp_ports() -> None:
    case("-p udp --dport 53", [of_udp(1, 53)], [of_udp(53, 52), of_udp(1, 54), of_tcp(1, 53)],
         SHORT_UDP)
    case("-p udp --sport 53", [of_udp(53, 1)], [of_udp(52, 53)], SHORT_UDP)
    case("-p udp --sport 10:20 --dport 30:40", [of_udp(10, 30), of_udp(20, 40)],
         [of_udp(9, 30), of_udp(21, 30), of_udp(10, 29), of_udp(10, 41)], SHORT_UDP)


@test
def udp_ports_negated() -> None:
    case("-p udp ! --sport 53 ! --dport 53", [of_udp(1, 2)], [of_udp(53, 2), of_udp(1, 53)],
         SHORT_UDP)


@test4
def udp_fragments() -> None:
    later = [fragment(UDP, udp(), 1), fragment(UDP, udp(), 2)]
    case("-p udp --dport 53", [fragment(UDP, udp(), 0, more=True)], later,
         hooks=("FORWARD", "OUTPUT"))
    case("-p udp ! --dport 1", [of_udp()], later, hooks=("FORWARD", "OUTPUT"))


# ICMP

SHORT_ICMP = [Packet(ICMP, icmp()[:length]) for length in (0, 1, 7)]


@test4
def icmp_type() -> None:
    case("-p icmp --icmp-type 8", [of_icmp(8, 0), of_icmp(8, 5)], [of_icmp(0, 0), of_icmp(9, 0)],
         SHORT_ICMP)
    case("-p icmp --icmp-type echo-reply", [of_icmp(0, 0)], [of_icmp(8, 0)], SHORT_ICMP)


@test4
def icmp_type_and_code() -> None:
    case("-p icmp --icmp-type 3/1", [of_icmp(3, 1)], [of_icmp(3, 0), of_icmp(3, 2), of_icmp(1, 3)],
         SHORT_ICMP)
    case("-p icmp --icmp-type port-unreachable", [of_icmp(3, 3)], [of_icmp(3, 1)])


@test4
def icmp_any() -> None:
    case("-p icmp --icmp-type any", [of_icmp(8), of_icmp(0), of_icmp(200, 9)], [of_udp()],
         SHORT_ICMP)


@test4
def icmp_negated() -> None:
    case("-p icmp ! --icmp-type 8", [of_icmp(0), of_icmp(3, 1)], [of_icmp(8)], SHORT_ICMP)
    case("-p icmp ! --icmp-type 3/1", [of_icmp(3, 0), of_icmp(8, 1)], [of_icmp(3, 1)], SHORT_ICMP)


@test4
def icmp_fragments() -> None:
    later = [fragment(ICMP, icmp(), 1)]
    case("-p icmp --icmp-type 8", [of_icmp(8)], later, hooks=("FORWARD", "OUTPUT"))
    case("-p icmp ! --icmp-type 0", [of_icmp(8)], later, hooks=("FORWARD", "OUTPUT"))


# All together

@test
def many_conditions() -> None:
    case("-s S.1.0/24 -d D.2.0/24 -p tcp --sport 1024: --dport 22 --syn",
         [Packet(TCP, tcp(1024, 22), "S.1.1", "D.2.2")],
         [Packet(TCP, tcp(1023, 22), "S.1.1", "D.2.2"), Packet(TCP, tcp(1024, 22), "S.2.1", "D.2.2"),
          Packet(TCP, tcp(1024, 22), "S.1.1", "D.1.2"),
          Packet(TCP, tcp(1024, 22, ACK), "S.1.1", "D.2.2"),
          # What fails earlier is not asked for its header.
          Packet(TCP, tcp()[:7], "S.2.1", "D.2.2")],
         [Packet(TCP, tcp()[:7], "S.1.1", "D.2.2")])


@test4
def ip_options_before_ports() -> None:
    """The header's length moves everything behind it."""
    moved = {"options": b"\1" * 8}
    case("-p tcp --dport 80", [Packet(TCP, tcp(1, 80), fields=moved)],
         [Packet(TCP, tcp(1, 81), fields=moved)],
         [Packet(TCP, tcp(1, 80)[:19], fields=moved)])


if __name__ == "__main__":
    main()
