#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""make install and make uninstall, and trees where they cannot work; nothing is installed
outside of temporary directories."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
SHARED = ("etc/modprobe.d/bpfilter.conf", "usr/libexec/bpfilter-modprobe", "usr/sbin/stapctl",
          "usr/sbin/bpfilter-check")
MODULES = ("bpfilter", "bpfilter_umh", "stap")
RUNNING = "9.9.9-nobody-has-its-headers"


def run(*command: str, directory: Path = TREE, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=directory, env={**os.environ, **environment}, text=True, capture_output=True,
                          check=False)


class Case(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="bpfilter-install.")
        self.addCleanup(directory.cleanup)
        self.scratch = Path(directory.name).resolve()

    def succeeds(self, done: "subprocess.CompletedProcess[str]") -> str:
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def copy_of_tree(self, name: str) -> Path:
        """What git knows or would take, and no build directory."""
        to = self.scratch / name
        files = run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
        for file in files:
            if (TREE / file).is_file():
                (to / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TREE / file, to / file)
        return to


class WithoutHeaders(Case):
    """On a machine whose kernel has no headers installed, as uname says here."""

    def setUp(self) -> None:
        super().setUp()
        uname = self.scratch / "bin" / "uname"
        uname.parent.mkdir()
        uname.write_text(f"#!/bin/sh\necho {RUNNING}\n", encoding="ascii")
        uname.chmod(0o755)

    def make(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What make would do."""
        environment = {name: "" for name in ("KVER", "KDIR", "DESTDIR")}
        return run("env", *(f"-u{name}" for name in environment), "make", "-n", *arguments,
                   PATH=f"{self.scratch}/bin:{os.environ['PATH']}")

    def test_install_is_refused(self) -> None:
        done = self.make("install")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"apt-get install linux-headers-{RUNNING}", done.stderr)
        self.assertIn("KVER=", done.stderr)
        self.assertNotIn("scripts/", done.stdout)

    def test_install_for_a_kernel_that_is_named(self) -> None:
        self.assertIn("scripts/install-modules 6.12", self.succeeds(self.make("install", "KVER=6.12")))

    def test_install_to_elsewhere(self) -> None:
        self.assertIn("scripts/install-modules 6.1\n", self.succeeds(self.make("install", f"DESTDIR={self.scratch}")))

    def test_build(self) -> None:
        self.assertIn("scripts/build-modules 6.1\n", self.succeeds(self.make("modules")))

    def test_uninstall_is_about_the_running_kernel(self) -> None:
        self.assertIn(f"scripts/install-modules --remove {RUNNING}\n", self.succeeds(self.make("uninstall")))


class Uninstall(Case):
    """Two kernels have the modules; one more has others of its own."""

    def setUp(self) -> None:
        super().setUp()
        for release in ("1.1-a", "2.2-b"):
            for module in MODULES:
                self.touch(f"lib/modules/{release}/updates/{module}.ko")
        self.touch("lib/modules/2.2-b/updates/another.ko")
        self.touch("lib/modules/3.3-c/updates/another.ko")
        for file in SHARED:
            self.touch(file)

    def touch(self, file: str) -> None:
        path = self.scratch / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def files(self) -> set[str]:
        return {str(path.relative_to(self.scratch)) for path in self.scratch.rglob("*") if path.is_file()}

    def uninstall(self, release: str) -> str:
        done = run("make", "-s", "uninstall", f"KVER={release}", f"DESTDIR={self.scratch}")
        self.succeeds(done)
        return done.stderr

    def test_another_kernel_keeps_what_it_needs(self) -> None:
        said = self.uninstall("1.1-a")
        self.assertIn("2.2-b", said)
        self.assertFalse((self.scratch / "lib/modules/1.1-a/updates").exists())
        others = {f"lib/modules/2.2-b/updates/{module}.ko" for module in MODULES}
        self.assertLessEqual(others | set(SHARED), self.files())

    def test_without_a_home(self) -> None:
        """As whom apt's services run."""
        self.succeeds(run("env", "-u", "HOME", "-u", "XDG_CACHE_HOME", "make", "-s", "uninstall", "KVER=1.1-a",
                          f"DESTDIR={self.scratch}"))
        self.assertFalse((self.scratch / "lib/modules/1.1-a/updates").exists())

    def test_the_last_takes_all(self) -> None:
        self.uninstall("2.2-b")
        self.assertEqual(self.uninstall("1.1-a"), "")
        self.assertEqual(self.files(), {f"lib/modules/{release}/updates/another.ko" for release in ("2.2-b", "3.3-c")})


class Install(Case):
    """What `make install` leaves is what `make uninstall` takes."""

    def make(self, what: str, **variables: str) -> None:
        variables |= {"KVER": "6.1", "DESTDIR": f"{self.scratch}/root"}
        self.succeeds(run("make", "-s", what, *(f"{name}={value}" for name, value in variables.items())))

    def test_signed_and_removed(self) -> None:
        key, certificate = f"{self.scratch}/key.pem", f"{self.scratch}/certificate.der"
        self.succeeds(run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                          "-subj", "/CN=key of a test/", "-outform", "DER", "-keyout", key, "-out", certificate))
        self.make("install", SIGN_KEY=key, SIGN_CERT=certificate)
        root = self.scratch / "root"
        for file in SHARED:
            self.assertTrue((root / file).is_file(), file)
            self.assertEqual(os.access(root / file, os.X_OK), not file.endswith(".conf"), file)
        for module in MODULES:
            installed, = root.glob(f"lib/modules/*/updates/{module}.ko")
            self.assertEqual(self.succeeds(run("/sbin/modinfo", "-F", "signer", str(installed))).strip(), "key of a test")
        self.make("uninstall")
        self.assertEqual([path for path in root.rglob("*") if path.is_file()], [])


class Trees(Case):
    def test_a_copy_builds_itself(self) -> None:
        """Although its build directory says where the original is."""
        original = self.copy_of_tree("original")
        self.succeeds(run("scripts/build-helper", "configure", directory=original))
        copied = self.scratch / "copy"
        shutil.copytree(original, copied, symlinks=True)
        self.succeeds(run("scripts/build-helper", "configure", directory=copied))
        cache = (copied / "build/umh/CMakeCache.txt").read_text(encoding="utf-8")
        self.assertIn(f"CMAKE_HOME_DIRECTORY:INTERNAL={copied}/umh\n", cache)
        rules = (copied / "build/umh/build.ninja").read_text(encoding="utf-8")
        self.assertIn(f"{copied}/umh/main.cpp", rules)
        self.assertNotIn(str(original), rules)

    def test_built_once(self) -> None:
        """What is in its place is left there."""
        tree = self.copy_of_tree("tree")
        self.succeeds(run("scripts/build-helper", "configure", directory=tree))
        mark = tree / "build/umh/mark"
        mark.touch()
        self.succeeds(run("scripts/build-helper", "configure", directory=tree))
        self.assertTrue(mark.exists())

    def test_a_space_is_named(self) -> None:
        tree = self.copy_of_tree("my tree")
        for what in ("helper", "modules", "install", "uninstall"):
            done = run("make", what, "KVER=6.1", f"DESTDIR={self.scratch}/root", directory=tree)
            self.assertNotEqual(done.returncode, 0, what)
            first = done.stderr.splitlines()[0]
            self.assertIn("neither spaces nor colons", first)
            self.assertIn(str(tree), first)


if __name__ == "__main__":
    unittest.main()
