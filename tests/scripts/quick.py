#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""tests/vm/quick: what it names is there. `make check` does not run it, and tests are renamed."""

import ast
import os
import unittest

SUITES = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "vm")


def tests_of(suite: str) -> set[str]:
    """Of a suite in its family: what is marked test4 or test6 is in one of two."""
    name, marks = suite, {"test", "test4"}
    if not os.path.exists(f"{SUITES}/{suite}.py"):
        name, marks = suite.removesuffix("6"), {"test", "test6"}
    with open(f"{SUITES}/{name}.py", encoding="utf-8") as file:
        functions = [node for node in ast.parse(file.read()).body if isinstance(node, ast.FunctionDef)]
    return {function.name for function in functions
            if any(isinstance(one, ast.Name) and one.id in marks for one in function.decorator_list)}


class Quick(unittest.TestCase):
    def test_every_one_is_there(self) -> None:
        with open(f"{SUITES}/quick", encoding="utf-8") as file:
            named = [line.strip() for line in file if line.strip() and not line.startswith("#")]
        self.assertGreater(len(named), 20)
        for word in named:
            suite, _, test = word.partition(".")
            with self.subTest(word):
                self.assertIn(test, tests_of(suite))


if __name__ == "__main__":
    unittest.main()
