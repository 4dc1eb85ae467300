#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scripts/once: what it remembers, and what makes it run again."""

import os
import shutil
import subprocess
import tempfile
import unittest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class Once(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.cache = f"{scratch.name}/cache"
        self.tree = self.new_tree(f"{scratch.name}/tree")
        self.ran = f"{scratch.name}/ran"  # a line for each run of COMMAND

    def new_tree(self, path: str) -> str:
        os.makedirs(f"{path}/scripts")
        shutil.copy2(f"{TREE}/scripts/once", f"{path}/scripts/once")
        return path

    def write(self, name: str, text: str, tree: str = "") -> str:
        path = f"{tree or self.tree}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def once(self, *arguments: str, tree: str = "", command: str = "echo 3 passed", **variables: str
             ) -> "subprocess.CompletedProcess[str]":
        tree = tree or self.tree
        environment = {**os.environ, "XDG_CACHE_HOME": self.cache, "RAN": self.ran, **variables}
        return subprocess.run([f"{tree}/scripts/once", "a thing", *arguments, "--", "sh", "-c",
                               f"echo >>$RAN; {command}"], cwd=tree, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)

    def runs(self) -> int:
        try:
            with open(self.ran, encoding="utf-8") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0

    def test_says_the_same_again(self) -> None:
        self.assertEqual(self.once().stdout, "3 passed\n")
        again = self.once()
        self.assertEqual(again.returncode, 0)
        first, *rest = again.stdout.splitlines()
        self.assertTrue(first.startswith("unchanged since it passed: a thing, 20"), first)
        self.assertEqual((rest, self.runs()), (["3 passed"], 1))

    def test_a_failure_is_not_remembered(self) -> None:
        for _ in range(2):
            self.assertEqual(self.once(command="echo 1 failed; exit 3").returncode, 3)
        self.assertEqual(self.runs(), 2)

    def test_whatever_it_depends_on_makes_it_run(self) -> None:
        self.write("kmod/a.c", "a")
        keys = [f"--file={self.tree}/kmod", "--value=6.1", "--package=base-files"]
        self.once(*keys)
        self.once(*keys)
        self.assertEqual(self.runs(), 1)
        for number, (name, text) in enumerate((("a.c", "b"), ("deep/b.c", ""), ("deep/b.c", "c")), 2):
            self.write(f"kmod/{name}", text)
            self.once(*keys)
            self.assertEqual(self.runs(), number)
        os.rename(f"{self.tree}/kmod/a.c", f"{self.tree}/kmod/c.c")
        others: list[list[str]] = [[], ["--value=6.12"], ["--package=dpkg"], ["--value=6.1", "--value="]]
        for number, other in enumerate(others, 5):
            self.once(keys[0], *other)
            self.assertEqual(self.runs(), number)
        self.once(*keys, command="true")
        self.assertEqual(self.runs(), 9)

    def test_headers_of_headers_count(self) -> None:
        source = self.write("umh/a/a.cpp", '#include <vector>\n#  include "umh/a/a.h"\n')
        self.write("umh/a/a.h", '#include "b.h"\n#include <bpfilter/c.h>\n')
        self.write("umh/a/b.h", '#include "umh/a/a.h"\n')  # a circle
        self.write("include/bpfilter/c.h", "")
        self.write("umh/a/other.h", "")
        for header in ("umh/a/a.h", "umh/a/b.h", "include/bpfilter/c.h"):
            self.once(f"--includes={source}")
            before = self.runs()
            self.once(f"--includes={source}")
            self.write("umh/a/other.h", header)
            self.once(f"--includes={source}")
            self.assertEqual(self.runs(), before, header)
            with open(f"{self.tree}/{header}", "a", encoding="utf-8") as file:
                file.write("// changed\n")
            self.once(f"--includes={source}")
            self.assertEqual(self.runs(), before + 1, header)

    def test_another_clone_is_the_same(self) -> None:
        other = self.new_tree(f"{self.tree}-2")
        for tree in (self.tree, other):
            self.write("kmod/a.c", "a", tree)
            self.once(f"--file={tree}/kmod", tree=tree, command=f"echo {tree}/kmod >/dev/null")
        self.assertEqual(self.runs(), 1)

    def test_what_changes_under_it_is_not_remembered(self) -> None:
        path = self.write("kmod/a.c", "a")
        self.once(f"--file={path}", command=f"echo b >{path}")
        self.write("kmod/a.c", "a")
        self.once(f"--file={path}", command=f"echo b >{path}")
        self.assertEqual(self.runs(), 2)

    def test_anew(self) -> None:
        self.once()
        self.assertEqual(self.once(ANEW="1").stdout, "3 passed\n")
        self.once()
        self.assertEqual(self.runs(), 2)

    def test_the_oldest_are_forgotten(self) -> None:
        self.once()
        directory = f"{self.cache}/bpfilter/once"
        for number in range(4100):
            with open(f"{directory}/{number}", "wb"):
                os.utime(f"{directory}/{number}", (number, number))
        self.once("--value=another")
        kept = os.listdir(directory)
        self.assertEqual(len(kept), 4000)
        self.assertNotIn("50", kept)
        self.once()
        self.assertEqual(self.runs(), 2)

    def test_a_missing_file_is_an_error(self) -> None:
        done = self.once(f"--file={self.tree}/nothing")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing", done.stdout)
        self.assertEqual(self.runs(), 0)


if __name__ == "__main__":
    unittest.main()
