#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What the kernel's audit says about who changed tables: as with ip_tables."""

import errno
import re
import socket
import struct
import subprocess
from typing import Callable, Iterator, NamedTuple

from lib.check import Failure, Skip, expect_equal, main, test, wait_for
from lib.netns import Namespace

NETLINK_AUDIT = 9
READLOG = 1  # the group of those who read along
AUDIT_SET, AUDIT_NETFILTER_CFG = 1001, 1325
STATUS_ENABLED = 1
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2
IPV4, IPV6 = 2, 10


class Record(NamedTuple):
    table: str
    family: int
    entries: int
    op: str
    comm: str


class Audit:
    """Records from now on."""

    def __init__(self) -> None:
        self.seen: list[Record] = []
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT)
        except OSError as why:
            if why.errno == errno.EPROTONOSUPPORT:
                raise Skip("this kernel is without audit") from None
            raise
        self._socket.bind((0, 1 << (READLOG - 1)))
        self._enable()
        self._socket.setblocking(False)

    def _enable(self) -> None:
        status = struct.pack("=2I", STATUS_ENABLED, 1).ljust(40, b"\0")
        self._socket.send(struct.pack("=IHHII", 16 + len(status), AUDIT_SET, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + status)
        while True:
            answer = self._socket.recv(8192)
            length, kind = struct.unpack("=IH", answer[:6])
            if kind == NLMSG_ERROR:
                expect_equal(struct.unpack("=i", answer[16:20])[0], 0, f"switching audit on ({length} bytes)")
                return

    def _read(self) -> Iterator[Record]:
        while True:
            try:
                message = self._socket.recv(8192)
            except BlockingIOError:
                return
            if struct.unpack("=IH", message[:6])[1] != AUDIT_NETFILTER_CFG:
                continue
            text = message[16:].split(b"\0")[0].decode()
            fields = dict(re.findall(r"(\w+)=\"?([^ \"]+)", text))
            if fields["op"].startswith("xt_"):
                yield Record(fields["table"], int(fields["family"]), int(fields["entries"]), fields["op"],
                             fields["comm"])

    def come(self, enough: Callable[[list[Record]], bool]) -> list[Record]:
        """What came since last asked; at least as much."""
        def is_enough() -> bool:
            self.seen += self._read()
            return enough(self.seen)

        try:
            wait_for(is_enough, "records")
        except Failure as failure:
            raise Failure(f"{failure}; these came: {self.seen}") from failure
        seen, self.seen = self.seen, []
        return seen

    def expect(self, *records: Record) -> None:
        """These and no others, since last asked, but for namespaces of tests before this one, which go."""
        def ours(seen: list[Record]) -> list[Record]:
            return [one for one in seen if one.op != "xt_unregister"]

        expect_equal(ours(self.come(lambda seen: len(ours(seen)) >= len(records))), list(records), "records")

    def expect_end(self, *records: tuple[str, int, int]) -> None:
        """These tables go; others may go too."""
        self.come(lambda seen: set(records) <= {one[:3] for one in seen if one.op == "xt_unregister"})


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@test
def who_changed_what() -> None:
    audit = Audit()
    for tool, family in (("iptables-legacy", IPV4), ("ip6tables-legacy", IPV6)):
        namespace = Namespace("audit")
        with namespace:
            run(tool, "-L")
            audit.expect(Record("filter", family, 0, "xt_register", tool[:15]))
            run(tool, "-A", "INPUT", "-j", "ACCEPT")
            run(tool, "-F")
            run(tool, "-L")
            audit.expect(Record("filter", family, 4, "xt_replace", tool[:15]),
                         Record("filter", family, 5, "xt_replace", tool[:15]))
            run(tool, "-t", "mangle", "-N", "chain")
            audit.expect(Record("mangle", family, 0, "xt_register", tool[:15]),
                         Record("mangle", family, 6, "xt_replace", tool[:15]))
            subprocess.run([tool, "-A", "INPUT", "-j", "nowhere"], check=False, capture_output=True)
            audit.expect()
        namespace.delete()
        audit.expect_end(("filter", family, 4), ("mangle", family, 8))


if __name__ == "__main__":
    main()
