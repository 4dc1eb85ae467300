#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""iptables' own tests that are scripts (scripts/fetch iptables): each must end as its name says, in a namespace of its
own. Those for nf_tables, ebtables and arptables see that they are not meant, and say nothing of us."""

import os
import subprocess

from lib.check import LONG, Skip, expect_equal, main, test

HERE = "/usr/lib/bpfilter-tests/iptables/shell/testcases"
OURS = ("chain", "firewalld-restore", "ip6tables", "ipt-restore", "ipt-save", "iptables")

# With ip_tables as well.
KNOWN = {"iptables/0008-unprivileged_0": "asks for runuser, which asks for PAM's settings, which a guest has not"}
CHOSEN = ("chain/", "ip6tables/0003", "iptables/0004", "iptables/0005")  # how names begin


def runs(path: str) -> None:
    name = os.path.relpath(path, HERE)
    environment = os.environ | {"XT_MULTI": "xtables-legacy-multi"}
    done = subprocess.run(["unshare", "-n", path], env=environment, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
    if done.returncode and name in KNOWN:
        raise Skip(KNOWN[name])
    expect_equal(done.returncode, int(name.rsplit("_", 1)[1]), f"status; it said: {done.stdout[-400:]}")


def of(path: str) -> None:
    def one() -> None:
        runs(path)
    one.__name__ = os.path.relpath(path, HERE).replace("/", ".").replace("-", "_")
    test(one)


def no_files() -> None:
    raise Skip(f"{HERE} is not in this guest")


def others() -> None:
    raise Skip(f"{len(_scripts) - len(_chosen)} more scripts take long: LONG=1 in the environment")


_scripts = sorted(os.path.join(directory, name) for directory in (f"{HERE}/{one}" for one in OURS)
                  if os.path.isdir(directory) for name in os.listdir(directory)
                  if name.rsplit("_", 1)[-1].isdigit() and os.access(f"{directory}/{name}", os.X_OK))
_chosen = [path for path in _scripts if LONG or os.path.relpath(path, HERE).startswith(CHOSEN)]
for _path in _chosen:
    of(_path)
if not _scripts:
    test(no_files)
elif len(_chosen) < len(_scripts):
    test(others)


if __name__ == "__main__":
    main()
