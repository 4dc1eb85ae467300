#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What rules say comes back as it was, byte by byte: comments above all."""

import struct

from lib import blob, iptables
from lib.blob import entry, match, verdict
from lib.check import expect, expect_equal, main, test
from lib.family import current
from lib.iptables import IPTABLES, RESTORE, must, run, save
from lib.netns import CLONE_NEWNET, unshare

unshare(CLONE_NEWNET)
FAMILY = current()

# A comment, and how iptables-save writes it. There is room for 256 bytes with the last one, which is zero.
COMMENTS = {
    "plain": "plain",
    "don't": r'''"don\'t"''',
    'say "a b"': r'''"say \"a b\""''',
    "back\\slash": r'''"back\\slash"''',
    "x" * 255: "x" * 255,
    "größer als €9, 丁": '"größer als €9, 丁"',
    "-j DROP": '"-j DROP"',
    " blanks  within ": '" blanks  within "',
    "semi;colon $HOME `ls` #no": '"semi;colon $HOME `ls` #no"',
}


def rule(comment: str) -> list[str]:
    return ["INPUT", "-p", "tcp", "-m", "comment", "--comment", comment, "-j", "ACCEPT"]


def rules() -> list[str]:
    return [line for line in save(options="") if line.startswith("-A")]


def saved_as(text: str) -> str:
    return f"-A INPUT -p tcp -m comment --comment {text} -j ACCEPT"


@test
def comments_saved_restored_deleted() -> None:
    for comment, text in COMMENTS.items():
        iptables.restore()
        must(IPTABLES, "-A", *rule(comment))
        expect_equal(rules(), [saved_as(text)], "saved")
        whole = must(iptables.SAVE)
        iptables.restore()
        must(RESTORE, stdin=whole)
        expect_equal(rules(), [saved_as(text)], "saved, restored and saved again")
        must(IPTABLES, "-C", *rule(comment))
        for other in (comment[:-1], comment[:-1] + "?", comment.swapcase() if comment.swapcase() != comment else "n"):
            expect(run(IPTABLES, "-D", *rule(other)).status != 0, f"{comment} is deleted as {other}")
        must(IPTABLES, "-D", *rule(comment))
        expect_equal(rules(), [], "rules after deleting it")


@test
def all_comments_at_once() -> None:
    """And the same one twice in a rule, as some systems have it."""
    lines = [f"-A INPUT -m comment --comment {text} -m comment --comment {text}" for text in COMMENTS.values()]
    must(RESTORE, stdin=iptables.ruleset(*lines))
    expect_equal(rules(), lines, "saved")
    must(RESTORE, "--noflush", stdin="\n".join(["*filter", *(f"-D{line[2:]}" for line in lines), "COMMIT", ""]))
    expect_equal(rules(), [], "rules after deleting them")


@test
def comments_too_long() -> None:
    """iptables cuts them off; what fills all of the room, without a zero, is kept as the caller sent it."""
    iptables.restore()
    must(IPTABLES, "-A", *rule("x" * 300))
    expect_equal(rules(), [saved_as("x" * 255)], "rules")
    whole = bytes(range(1, 256)) + b"\xff"
    with blob.raw_socket() as opened:
        table = blob.with_input(entry(verdict(blob.ACCEPT), match(b"comment", whole)))
        expect_equal(table.commit(opened), "OK", "commit")
        expect(whole in blob.entries(opened)[1], "the comment is not what it was")
    iptables.restore()


def own_part(kernel: bytes) -> bytes:
    """struct xt_rateinfo: of what the kernel has for itself, from the 8th byte on, nothing is shown."""
    return struct.pack("=II", 3333, 5) + kernel


@test
def what_the_kernel_keeps_is_not_shown() -> None:
    """Nor is it heard: credit and pointers that a caller sends are the caller's no more."""
    for sent in (b"\0" * 32, b"\xa5" * 32):
        with blob.raw_socket() as opened:
            rule_ = entry(verdict(blob.ACCEPT), match(b"limit", own_part(sent)))
            expect_equal(blob.with_input(rule_).commit(opened), "OK", "commit")
            seen = blob.entries(opened)[1][:len(rule_)]
        at = blob.ENTRY + blob.HEADER
        expect_equal(seen[at:at + 40].hex(), own_part(b"\0" * 32).hex(), "what is shown of limit")
    iptables.restore()


@test
def names_and_revisions_come_back() -> None:
    """Of matches and targets whose place the kernel uses for pointers of its own."""
    cases = ["-m limit --limit 3/sec", "-j LOG --log-prefix text",
             "-m hashlimit --hashlimit-upto 5/sec --hashlimit-name text --hashlimit-mode srcip", "-m state --state NEW",
             "-m conntrack --ctstate NEW", "-m owner --uid-owner 0", "-m statistic --mode nth --every 3 --packet 0",
             "-j CONNMARK --save-mark", "-m quota --quota 1000", "-j TEE --gateway 10.0.0.1"]
    iptables.restore(*(f"-A OUTPUT {case}" for case in cases))
    with blob.raw_socket() as opened:
        before = blob.entries(opened)[1]
        first = save(options="")
        must(RESTORE, stdin="\n".join(first) + "\n")
        after = blob.entries(opened)[1]
        expect(after == before, f"entries after save and restore: {after.hex()}, not {before.hex()}")
    for case in cases:
        must(IPTABLES, "-D", "OUTPUT", *FAMILY.text(case).split())
    expect_equal(save(options=""), [":INPUT ACCEPT [0:0]" if line.startswith(":INPUT") else line for line in first
                                    if not line.startswith("-A")], "after deleting all")


if __name__ == "__main__":
    main()
