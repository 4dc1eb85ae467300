#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Ways through chains: jump, goto, return, policies, rules without target, deep nesting."""

from lib import iptables, packet
from lib.check import expect_equal, main, test, test4
from lib.family import current
from lib.iptables import Counters
from lib.packet import UDP, udp
from lib.router import OF_HOOK, TTL, Router

router = Router(mute=True)
HOOKS = ("INPUT", "FORWARD", "OUTPUT")


def send(hook: str, ports: list[int]) -> list[bool]:
    """One UDP packet without data to each port."""
    source, destination = OF_HOOK[hook]
    return router.through(hook, [
        packet.ip(f"{source}.0.2", f"{destination}.0.2", UDP, udp(1, port), ident=ident + 1, ttl=TTL)
        for ident, port in enumerate(ports)])


def counts(chain: str) -> list[int]:
    """Packets of each rule of a chain; their bytes must be the same packets'."""
    with router:
        counters = Counters()
    for counter in counters.rules[chain]:
        expect_equal(counter.bytes, (current().header + 8) * counter.packets, f"bytes in {chain}")
    return [counter.packets for counter in counters.rules[chain]]


def policy(chain: str) -> int:
    with router:
        return Counters().policy[chain].packets


def rules(*lines: str, policies: dict[str, str] | None = None) -> None:
    with router:
        iptables.restore(*lines, policies=policies)


@test
def policies() -> None:
    for hook in HOOKS:
        rules(policies={hook: "DROP"})
        expect_equal(send(hook, [1, 2, 3]), [False] * 3, f"{hook} DROP")
        expect_equal(policy(hook), 3, f"policy counter of {hook}")
        rules(f"-A {hook} -p udp --dport 2 -j ACCEPT", policies={hook: "DROP"})
        expect_equal(send(hook, [1, 2, 3]), [False, True, False], f"{hook} DROP but one")
        expect_equal(policy(hook), 2, f"policy counter of {hook}")
        expect_equal(counts(hook), [1], hook)
        rules()
        expect_equal(send(hook, [1, 2]), [True] * 2, f"{hook} ACCEPT")
        expect_equal(policy(hook), 2, f"policy counter of {hook}")


@test4
def first_match_decides() -> None:
    for hook in HOOKS:
        rules(f"-A {hook} -p udp --dport 1:2 -j ACCEPT", f"-A {hook} -p udp --dport 2:3 -j DROP",
              f"-A {hook} -p udp -j ACCEPT", f"-A {hook} -j DROP")
        expect_equal(send(hook, [1, 2, 3, 4]), [True, True, False, True], hook)
        expect_equal(counts(hook), [2, 1, 1, 0], hook)


@test4
def no_target() -> None:
    """A rule without target counts and lets the packet go on."""
    for hook in HOOKS:
        rules(f"-A {hook} -p udp", f"-A {hook} -p udp --dport 2", f"-A {hook}",
              f"-A {hook} -p udp --dport 3 -j DROP")
        expect_equal(send(hook, [1, 2, 3]), [True, True, False], hook)
        expect_equal(counts(hook), [3, 1, 3, 1], hook)
        expect_equal(policy(hook), 2, hook)


@test
def jump_and_fall_off() -> None:
    for hook in HOOKS:
        rules(f"-A {hook} -p udp --dport 1:2 -j user", f"-A {hook} -j DROP",
              "-A user -p udp --dport 1 -j ACCEPT", "-A user")
        expect_equal(send(hook, [1, 2, 3]), [True, False, False], hook)
        expect_equal(counts(hook), [2, 2], hook)
        expect_equal(counts("user"), [1, 1], "user")


@test4
def jump_to_empty_chain() -> None:
    with router:
        iptables.must(iptables.RESTORE, stdin="*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n"
                      ":OUTPUT ACCEPT\n:empty -\n-A FORWARD -j empty\n-A FORWARD -g empty\n"
                      "-A FORWARD -j DROP\nCOMMIT\n")
    expect_equal(send("FORWARD", [1]), [True], "goto an empty chain: the policy")
    expect_equal(counts("FORWARD"), [1, 1, 0], "FORWARD")
    expect_equal(policy("FORWARD"), 1, "policy")


@test
def return_goes_behind_the_jump() -> None:
    for hook in HOOKS:
        rules(f"-A {hook} -j user", f"-A {hook} -p udp --dport 1 -j DROP",
              "-A user -p udp --dport 1:2 -j RETURN", "-A user -j DROP")
        expect_equal(send(hook, [1, 2, 3]), [False, True, False], hook)
        expect_equal(counts(hook), [3, 1], hook)
        expect_equal(counts("user"), [2, 1], "user")


@test
def goto_does_not_come_back() -> None:
    for hook in HOOKS:
        rules(f"-A {hook} -p udp --dport 1:3 -j one", f"-A {hook} -p udp --dport 1 -j DROP",
              "-A one -p udp --dport 1:2 -g two", "-A one -p udp --dport 3 -j DROP", "-A one",
              "-A two -p udp --dport 2 -j DROP")
        # 1: one, goto two, back behind the jump in the built-in chain.
        expect_equal(send(hook, [1, 2, 3, 4]), [False, False, False, True], hook)
        expect_equal(counts(hook), [3, 1], hook)
        expect_equal(counts("one"), [2, 1, 0], "one")
        expect_equal(counts("two"), [1], "two")


@test4
def goto_from_a_built_in_chain() -> None:
    """A RETURN behind it has nowhere to go but the policy."""
    for hook in HOOKS:
        rules(f"-A {hook} -p udp --dport 1:2 -g user", f"-A {hook} -j ACCEPT",
              "-A user -p udp --dport 1 -j RETURN", "-A user -p udp --dport 9",
              policies={hook: "DROP"})
        expect_equal(send(hook, [1, 2, 3]), [False, False, True], hook)
        expect_equal(counts(hook), [2, 1], hook)
        expect_equal(policy(hook), 2, f"policy of {hook}")


@test4
def return_in_a_built_in_chain() -> None:
    for hook in HOOKS:
        rules(f"-A {hook} -p udp --dport 1 -j RETURN", f"-A {hook} -j ACCEPT",
              policies={hook: "DROP"})
        expect_equal(send(hook, [1, 2]), [False, True], hook)
        expect_equal(policy(hook), 1, f"policy of {hook}")


@test4
def jump_inside_goto() -> None:
    """goto keeps the stack as it is; a jump behind it comes back behind itself."""
    rules("-A FORWARD -j one", "-A FORWARD -p udp --dport 1 -j DROP", "-A one -g two", "-A one -j DROP",
          "-A two -j three", "-A two -p udp --dport 2 -j DROP", "-A three -p udp --dport 3 -j DROP")
    expect_equal(send("FORWARD", [1, 2, 3, 4]), [False, False, False, True], "delivered")
    expect_equal(counts("FORWARD"), [4, 1], "FORWARD")
    expect_equal(counts("one"), [4, 0], "one")
    expect_equal(counts("two"), [4, 1], "two")
    expect_equal(counts("three"), [1], "three")


@test
def one_chain_from_several() -> None:
    """Every RETURN goes to where its own jump was."""
    rules("-A INPUT -p udp --dport 1:2 -j shared", "-A INPUT -p udp --dport 1 -j DROP",
          "-A FORWARD -j shared", "-A FORWARD -j shared", "-A FORWARD -p udp --dport 2 -j DROP",
          "-A OUTPUT -j other", "-A OUTPUT -p udp --dport 3 -j DROP", "-A other -j shared", "-A other",
          "-A shared -p udp --dport 4 -j DROP")
    expect_equal(send("INPUT", [1, 2, 4]), [False, True, True], "INPUT")
    expect_equal(send("FORWARD", [1, 2, 4]), [True, False, False], "FORWARD")
    expect_equal(send("OUTPUT", [1, 3, 4]), [True, False, False], "OUTPUT")
    expect_equal(counts("INPUT"), [2, 1], "INPUT")
    expect_equal(counts("FORWARD"), [3, 2, 1], "FORWARD")
    expect_equal(counts("OUTPUT"), [3, 1], "OUTPUT")
    expect_equal(counts("other"), [3, 2], "other")
    expect_equal(counts("shared"), [2], "shared")


DEPTH = 40


def nested(hook: str, verb: str) -> list[str]:
    lines = [f"-A {hook} {verb} c01", f"-A {hook} -p udp --dport 1 -j DROP"]
    for level in range(1, DEPTH):
        lines += [f"-A c{level:02} -p udp --dport {100 + level} -j DROP",
                  f"-A c{level:02} {verb} c{level + 1:02}", f"-A c{level:02}"]
    return lines + [f"-A c{DEPTH:02} -p udp --dport 2 -j DROP",
                    f"-A c{DEPTH:02} -p udp --dport 3 -j ACCEPT"]


@test
def deep_nesting() -> None:
    for hook in HOOKS:
        rules(*nested(hook, "-j"))
        expect_equal(send(hook, [1, 2, 3, 4, 120]), [False, False, True, True, False], hook)
        expect_equal(counts(hook), [5, 1], hook)
        expect_equal(counts(f"c{DEPTH:02}"), [1, 1], "the deepest chain")
        expect_equal(counts("c39"), [0, 4, 2], "the one above it")
        expect_equal(counts("c20"), [1, 4, 2], "the middle")
        expect_equal(counts("c01"), [0, 5, 2], "the first")


@test4
def deep_gotos() -> None:
    rules(*nested("FORWARD", "-g"))
    expect_equal(send("FORWARD", [1, 2, 3, 120]), [True, False, True, False], "delivered")
    expect_equal(counts("FORWARD"), [4, 0], "FORWARD")
    expect_equal(counts("c20"), [1, 3, 0], "the middle")
    expect_equal(policy("FORWARD"), 1, "policy")


@test4
def many_rules() -> None:
    """A long chain, one packet at its first, middle and last rule, and one behind."""
    rules(*(f"-A FORWARD -p udp --dport {port} -j DROP" for port in range(1000, 1200)))
    expect_equal(send("FORWARD", [1000, 1100, 1199, 1200, 999]), [False] * 3 + [True] * 2, "delivered")
    seen = counts("FORWARD")
    expect_equal([index for index, count in enumerate(seen) if count], [0, 100, 199], "rules that counted")


@test4
def chain_with_no_way_to_it() -> None:
    rules("-A orphan -j DROP", "-A FORWARD -p udp --dport 1 -j ACCEPT")
    expect_equal(send("FORWARD", [1, 2]), [True, True], "delivered")
    expect_equal(counts("orphan"), [0], "orphan")


if __name__ == "__main__":
    main()
