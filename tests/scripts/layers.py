#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scripts/checks/layers.py: an include upwards is found, and the tree has none."""

import os
import sys
import tempfile
import unittest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, f"{TREE}/scripts")

from checks import layers  # noqa: E402  pylint: disable=wrong-import-position

CMAKE = """
layer(util)
layer(core/ir bpfilter_util)
layer(core/blob bpfilter_core_ir)
layer(load bpfilter_core_ir bpf z)
layer(service bpfilter_core_blob bpfilter_load)
"""


class Layers(unittest.TestCase):
    def complaints(self, files: dict[str, str], cmake: str = CMAKE) -> list[str]:
        with tempfile.TemporaryDirectory() as umh:
            for path, text in {**files, "CMakeLists.txt": cmake}.items():
                os.makedirs(os.path.dirname(f"{umh}/{path}"), exist_ok=True)
                with open(f"{umh}/{path}", "w", encoding="utf-8") as file:
                    file.write(text)
            return layers.complaints(umh)

    def test_downwards_is_right(self) -> None:
        self.assertEqual(self.complaints({
            "core/ir/a.h": '#include "umh/core/ir/b.h"\n#include "umh/util/result.h"\n#include <vector>\n',
            "service/a.cpp": '#include "umh/core/ir/a.h"\n#include "umh/util/fd.h"\n#include "umh/load/map.h"\n',
            "main.cpp": '#include "umh/service/a.h"\n',
        }), [])

    def test_upwards_and_sideways_are_not(self) -> None:
        self.assertEqual(self.complaints({
            "core/ir/a.h": '\n#include "umh/core/blob/b.h"\n',
            "core/blob/a.def": '# include "umh/load/map.h"\n',
        }), [
            'umh/core/blob/a.def:1: layer core/blob does not stand on load: # include "umh/load/map.h"',
            'umh/core/ir/a.h:2: layer core/ir does not stand on core/blob: #include "umh/core/blob/b.h"',
        ])

    def test_the_core_is_values(self) -> None:
        self.assertEqual(self.complaints({
            "core/blob/a.cpp": '#include "umh/util/log.h"\n',
            "load/a.cpp": '#include "umh/util/log.h"\n',
        }), ["umh/core/blob/a.cpp:1: the core is values: no descriptor, no thread, no log: "
             '#include "umh/util/log.h"'])

    def test_nothing_includes_main(self) -> None:
        self.assertEqual(len(self.complaints({"service/a.cpp": '#include "umh/main.h"\n'})), 1)

    def test_a_circle_of_libraries(self) -> None:
        with self.assertRaisesRegex(ValueError, "layer a is linked with b, which comes later"):
            layers.read_layers("layer(a bpfilter_b)\nlayer(b bpfilter_a)\n")

    def test_the_tree(self) -> None:
        with open(f"{TREE}/umh/CMakeLists.txt", encoding="utf-8") as file:
            self.assertGreater(len(layers.read_layers(file.read())), 10)
        self.assertEqual(layers.complaints(f"{TREE}/umh"), [])


if __name__ == "__main__":
    unittest.main()
