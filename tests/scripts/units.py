#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scripts/checks/units.py: a circle of includes and one upwards are found, and kmod has none."""

import os
import sys
import tempfile
import unittest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, f"{TREE}/scripts")

from checks import units  # noqa: E402  pylint: disable=wrong-import-position

KBUILD = """
ccflags-y := -I$(src)/kmod
a-y := $(addprefix kmod/base/,one.o two.o) \\
	$(addprefix kmod/pipe/,pipe.o ioctl.o) \\
	$(addprefix kmod/,main.o)
"""


class Units(unittest.TestCase):
    def complaints(self, files: dict[str, str]) -> list[str]:
        with tempfile.TemporaryDirectory() as tree:
            for path, text in {"Kbuild": KBUILD, **files}.items():
                os.makedirs(os.path.dirname(f"{tree}/{path}"), exist_ok=True)
                with open(f"{tree}/{path}", "w", encoding="utf-8") as file:
                    file.write(text)
            return units.complaints(tree)

    def test_downwards_is_right(self) -> None:
        self.assertEqual(self.complaints({
            "kmod/base/one.h": "#include <linux/types.h>\n",
            "kmod/base/one.c": '#include "base/one.h"\n',
            "kmod/pipe/pipe.h": "",
            "kmod/pipe/ioctl.c": '#include "base/one.h"\n#include "pipe/pipe.h"\n',
            "kmod/pernet.h": "",
            "kmod/main.c": '#include "base/one.h"\n#include "pernet.h"\n#include "pipe/pipe.h"\n',
        }), [])

    def test_upwards_is_not(self) -> None:
        self.assertEqual(self.complaints({
            "kmod/base/one.c": '\n# include "pipe/pipe.h"\n',
            "kmod/pipe/pipe.h": '#include "main.h"\n',
            "kmod/main.h": "",
        }), [
            'kmod/base/one.c:2: base does not stand on pipe: # include "pipe/pipe.h"',
            'kmod/pipe/pipe.h:1: pipe does not stand on kmod: #include "main.h"',
        ])

    def test_a_circle_through_headers_and_sources(self) -> None:
        self.assertEqual(self.complaints({
            "kmod/base/one.h": '#include "base/two.h"\n',
            "kmod/base/two.h": "",
            "kmod/base/two.c": '#include "base/three.h"\n',
            "kmod/base/three.h": "",
            "kmod/base/three.c": '#include "base/one.h"\n',
        }), ["kmod: units include each other in a circle: base/one -> base/two -> base/three -> base/one"])

    def test_without_its_folder(self) -> None:
        self.assertEqual(self.complaints({
            "kmod/base/one.c": '#include "two.h"\n',
            "kmod/base/two.h": "",
        }), ['kmod/base/one.c:1: there is no such file in kmod: #include "two.h"'])

    def test_a_folder_that_is_not_built(self) -> None:
        self.assertEqual(self.complaints({
            "kmod/new/one.c": '#include "base/one.h"\n',
            "kmod/base/one.h": "",
        }), ['kmod/new/one.c:1: Kbuild names no folder new: #include "base/one.h"'])

    def test_the_tree(self) -> None:
        with open(f"{TREE}/Kbuild", encoding="utf-8") as file:
            self.assertGreater(len(units.read_order(file.read())), 6)
        self.assertEqual(units.complaints(TREE), [])


if __name__ == "__main__":
    unittest.main()
