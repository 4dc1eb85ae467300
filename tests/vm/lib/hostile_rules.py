# SPDX-License-Identifier: GPL-2.0
"""Tables whose rules have the match and the target `hostile`, before the fake helper.

The helper is tests/kmod/fake_helper: its programs call the instances of the first rule one after
the other, until a match does not. The match and the target are tests/kmod/xt_hostile.
"""

from . import blob, fake, hostile
from .blob import entry
from .caller import fate, works
from .check import expect_equal
from .hostile import target

HOOKS = 0x0E
INPUT, OUTPUT = 1 << 1, 1 << 3


def begin(*orders: str) -> None:
    fake.fresh()
    hostile.load()
    works()
    order(*orders)


def order(*lines: str) -> None:
    fake.order("REPLACE check", *lines)


def put(*rules: bytearray) -> str:
    with blob.raw_socket() as opened:
        return blob.with_input(*rules).commit(opened)


def rule(*matches: bytes, to: bytes = target()) -> bytearray:
    return entry(to, b"".join(matches))


def drop_all() -> None:
    """A table without instances."""
    fake.order()
    expect_equal(put(), "OK", "a table without instances")
    order()


def checks() -> list[int]:
    return [line.fields["errno"] for line in fake.log("CHECK")]


def end() -> None:
    """Nothing of it is there when the table goes."""
    drop_all()
    hostile.live(0, "at the end")
    expect_equal(fate(), "passes", "a datagram at the end")
