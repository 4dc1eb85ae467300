#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Examples 1 to 8 of the bpfilter RFC of 2018, live, with what must be seen.

Runs in a machine with the modules installed, as root, in its first network namespace.
Prints each command and its output as it happens and, behind each example, whether what was
expected was seen. Exit status 0 only if all of it was.

Where the RFC's own output was wrong, this expects what is right: its third listing shows
`-s 127.0.0.5` as a destination.
"""

import re
import subprocess
import sys
import time
from typing import Iterable

HEAD = "target     prot opt source               destination"
FIRST = "DROP       all  --  127.0.0.2            localhost"
SECOND = "DROP       all  --  127.0.0.4            127.0.0.3"
THIRD = "DROP       all  --  127.0.0.5            anywhere"


def show(command: str) -> str:
    """Run a command as the RFC does; its output, printed line by line as it comes."""
    print(f"  # {command}", flush=True)
    lines = []
    with subprocess.Popen(command, shell=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        assert process.stdout
        for line in process.stdout:
            print(f"    {line}", end="", flush=True)
            lines.append(line.rstrip())
    print(flush=True)
    return "\n".join(lines)


def wait_for_rules(program: str, rules: int) -> None:
    """What is decided at XDP follows a change of rules, but not within the command."""
    for _ in range(100):
        done = subprocess.run(["bpftool", "prog", "dump", "xlated", "name", program], capture_output=True, text=True,
                              check=False)
        if done.stdout.count("; -A INPUT ") == rules:
            return
        time.sleep(0.1)


class Example:
    """One example: `with Example(1, "...") as example:` and its expectations."""
    failed = 0

    def __init__(self, number: int, title: str) -> None:
        self.number = number
        self.missing: list[str] = []
        print(f"{number}) {title}:\n", flush=True)

    def expect(self, seen: object, what: str) -> None:
        if not seen:
            self.missing.append(what)

    def __enter__(self) -> "Example":
        return self

    def __exit__(self, kind: object, error: object, _: object) -> bool:
        if error is not None:
            self.missing.append(f"{error}")
        if self.missing:
            Example.failed += 1
            print(f"=> example {self.number}: NOT as expected: {'; '.join(self.missing)}\n", flush=True)
        else:
            print(f"=> example {self.number}: as expected\n", flush=True)
        return isinstance(error, Exception)

    def table(self, rules: Iterable[str]) -> None:
        """iptables -L shows these rules in INPUT, and nothing else."""
        listing = show("iptables -t filter -L")
        expected = ["Chain INPUT (policy ACCEPT)", HEAD, *rules, "",
                    "Chain FORWARD (policy ACCEPT)", HEAD, "", "Chain OUTPUT (policy ACCEPT)", HEAD]
        self.expect(listing.split("\n") == expected, "the listing")

    def ping(self, to: str, source: str, answered: bool) -> None:
        output = show(f"ping -c 1 -W 1 {to} -I {source}")
        received = re.search(r"1 packets transmitted, (\d) received", output)
        self.expect(received is not None and received[1] == str(int(answered)),
                    f"the ping from {source} to {to} {'answered' if answered else 'dropped'}")

    def add(self, rule: str) -> None:
        self.expect(show(f"iptables -t filter -A INPUT {rule}") == "", f"silence about {rule}")

    def programs(self, rules: int) -> None:
        """bpftool shows the program of lo and the one behind it, and in them the rules."""
        wait_for_rules("bf_xdp_lo", rules)
        programs = show("bpftool prog show | grep -A 2 'name bf_'")
        self.expect(re.search(r": xdp +name bf_xdp_lo ", programs), "an XDP program bf_xdp_lo")
        self.expect(re.search(r": sched_cls +name bf_filter_in ", programs), "a program bf_filter_in")
        links = show("ip link show lo")
        self.expect("xdpgeneric" in links, "XDP on lo")
        for name in ("bf_xdp_lo", "bf_filter_in"):
            dump = show(f"bpftool prog dump xlated name {name}")
            self.expect("exit" in dump, f"the instructions of {name}")
            texts = re.findall(r"^ *; *(-A INPUT .*)", dump, re.MULTILINE)
            for source in ("127.0.0.2", "127.0.0.4", "127.0.0.5")[:rules]:
                self.expect(any(f"-s {source}" in text for text in texts),
                            f"the rule about {source} beside its instructions in {name}")


def examples() -> None:
    with Example(1, "Dumping current rules") as example:
        example.table([])

    with Example(2, "ping test") as example:
        example.ping("127.0.0.1", "127.0.0.2", answered=True)

    with Example(3, "Adding & dumping a simple rule") as example:
        example.add("-i lo -s 127.0.0.2/32 -d 127.0.0.1/32 -j DROP")
        example.table([FIRST])

    with Example(4, "Dump BPF generated code for that rule (on lo it is XDP generic)") as example:
        example.programs(rules=1)

    with Example(5, "ping test") as example:
        example.ping("127.0.0.1", "127.0.0.2", answered=False)
        example.ping("127.0.0.1", "127.0.0.1", answered=True)
        example.ping("127.0.0.2", "127.0.0.2", answered=True)

    with Example(6, "Adding & dumping a 2nd and 3rd rule") as example:
        example.add("-i lo -s 127.0.0.4/32 -d 127.0.0.3/32 -j DROP")
        example.add("-i lo -s 127.0.0.5/32 -j DROP")
        example.table([FIRST, SECOND, THIRD])

    with Example(7, "Dump BPF generated code again") as example:
        example.programs(rules=3)

    with Example(8, "ping test again, and what the rules counted") as example:
        example.ping("127.0.0.4", "127.0.0.4", answered=True)
        example.ping("127.0.0.4", "127.0.0.3", answered=False)
        example.ping("127.0.0.1", "127.0.0.2", answered=False)
        example.ping("127.0.0.1", "127.0.0.5", answered=False)
        counted = show("iptables -t filter -L INPUT -v -n -x").split("\n")[2:]
        # The first rule dropped one in example 5 as well.
        example.expect([line.split()[:2] for line in counted] == [["2", "168"], ["1", "84"], ["1", "84"]],
                       "2, 1 and 1 packets of 84 bytes counted")


def main() -> int:
    subprocess.run(["modprobe", "bpfilter"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["iptables", "-F"], check=True)
    # At once, and not only in a flood on devices that can bear it.
    show("echo generic >/sys/module/bpfilter/parameters/xdp")
    examples()
    subprocess.run(["iptables", "-F"], check=True)
    print("All examples came out as expected." if not Example.failed
          else f"{Example.failed} of 8 examples did not come out as expected.", flush=True)
    return 1 if Example.failed else 0


if __name__ == "__main__":
    sys.exit(main())
