#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Where scripts/fetch takes Debian's archive to be, from how the machine's apt is configured.

Reads no network. The last line is `N passed, N failed`.
"""

import os
import subprocess
import sys
import tempfile
import unittest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SIGNED = "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"


def shell(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-euo", "pipefail", "-c", f'. "$0/scripts/lib.sh"; . "$0/scripts/apt.sh"; {script}',
                           TREE, *arguments], env={**os.environ, **environment}, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Archives(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="bpfilter-archives.")
        self.addCleanup(scratch.cleanup)
        self.etc = scratch.name
        os.mkdir(f"{self.etc}/sources.list.d")

    def archives(self, **files: str) -> list[str]:
        """What a machine would use with these FILES: `list` is sources.list, others lie beside."""
        for name, content in files.items():
            place = "sources.list" if name == "list" else f"sources.list.d/{name.replace('_', '.')}"
            with open(f"{self.etc}/{place}", "w", encoding="ascii") as file:
                file.write(content)
        done = shell('archives "$@"', "-o", f"Dir::Etc={self.etc}")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_one_line_format(self) -> None:
        self.assertEqual(self.archives(list="deb http://mirror.example/debian bookworm main\n"
                                            "deb http://mirror.example/security bookworm-security main\n"),
                         ["http://mirror.example/debian http://mirror.example/security"])

    def test_options_of_a_line(self) -> None:
        self.assertEqual(self.archives(list=f"deb [ arch=amd64,arm64 {SIGNED} check-valid-until=no ] "
                                            "https://mirror.example/a/debian/ trixie main contrib\n"
                                            f"deb [{SIGNED}] https://mirror.example/b/ trixie-security main\n"),
                         ["https://mirror.example/a/debian https://mirror.example/b"])

    def test_deb822_format(self) -> None:
        stanza = "Types: deb deb-src\nURIs: http://mirror.example/{}\nSuites: {}\nComponents: main non-free\n{}\n"
        self.assertEqual(self.archives(debian_sources=stanza.format("debian", "trixie trixie-updates", f"{SIGNED}\n")
                                       .replace("signed-by=", "Signed-By: ")
                                       + stanza.format("sec", "trixie-security", "")),
                         ["http://mirror.example/debian http://mirror.example/sec"])

    def test_key_within_a_stanza(self) -> None:
        self.assertEqual(self.archives(debian_sources="Types: deb\nURIs: http://mirror.example/debian\nSuites: stable\n"
                                       "Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n"
                                       " -----END PGP PUBLIC KEY BLOCK-----\n\n"
                                       "Types: deb\nURIs: http://mirror.example/sec\nSuites: stable-security\n"
                                       "Components: main\n"),
                         ["http://mirror.example/debian http://mirror.example/sec"])

    def test_mirror_lists(self) -> None:
        self.assertEqual(self.archives(
            debian_sources="Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm\n"
                           "Components: main\n\nTypes: deb\nURIs: mirror+file:///etc/apt/mirrors/debian-security.list\n"
                           "Suites: bookworm-security\nComponents: main\n"),
                         ["mirror+file:/etc/apt/mirrors/debian.list mirror+file:/etc/apt/mirrors/debian-security.list"])

    def test_security_that_is_not_configured(self) -> None:
        """Beside the archive, if that has Debian's name; or there is none."""
        self.assertEqual(self.archives(list="deb http://mirror.example/debian bookworm main\n"),
                         ["http://mirror.example/debian http://mirror.example/debian-security",
                          "http://mirror.example/debian -"])
        self.assertEqual(self.archives(list="deb http://mirror.example/deb12 bookworm main\n"),
                         ["http://mirror.example/deb12 -"])

    def test_archives_of_others(self) -> None:
        debian = ("deb http://mirror.example/debian bookworm main\n"
                  "deb http://mirror.example/debian-security bookworm-security main\n")
        right = "http://mirror.example/debian http://mirror.example/debian-security"
        self.assertEqual(self.archives(
            list="deb [arch=amd64] https://docker.example/linux/debian bookworm stable\n"
                 "deb https://node.example/node_20.x nodistro main\n"
                 "deb https://postgres.example/pub/repos/apt bookworm-pgdg main\n"
                 "deb https://flat.example/repo ./\n" + debian), [right])

    def test_likeliest_first(self) -> None:
        """One that has a release of Debian's name is asked after what has Debian's name itself, in
        whatever order apt names them (which is not that of its configuration)."""
        uris = "".join(f"'{uri}/dists/bookworm{suite}/main/binary-amd64/Packages.xz' a_file 0\n" for uri, suite in
                       (("http://prod.example/12", ""), ("http://a.example/debian", ""), ("http://a.example/s", "-security")))
        done = shell(f'machine_apt() {{ echo "{uris}"; }}; archives')
        self.assertEqual(done.stdout, "http://a.example/debian http://a.example/s\nhttp://prod.example/12 http://a.example/s\n")

    def test_what_is_not_in_use(self) -> None:
        self.assertEqual(self.archives(
            list="# deb http://commented.example/debian bookworm main\n"
                 "deb-src http://sources.example/debian bookworm main\n"
                 "deb cdrom:[Debian GNU/Linux 12 _Bookworm_]/ bookworm main\n",
            off_sources="Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n",
            backup_disabled="deb http://suffix.example/debian bookworm main\n"), [])

    def test_only_what_debian_signed(self) -> None:
        """An archive that is none of Debian's is refused, and said to be."""
        release = f"{self.etc}/debian/dists/bookworm"
        os.makedirs(release)
        with open(f"{release}/Release", "w", encoding="ascii") as file:
            file.write("Origin: Debian\nSuite: bookworm\nCodename: bookworm\nComponents: main\n"
                       "Date: Sat, 10 Jun 2023 08:53:33 UTC\n")
        done = shell("apt_update; echo accepted", XDG_CACHE_HOME=f"{self.etc}/cache",
                     BPFILTER_ARCHIVE=f"file:{self.etc}/debian")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, "debian bookworm .*is not signed")

    def test_no_archive(self) -> None:
        done = shell("archives() { :; }; apt_update; echo accepted", XDG_CACHE_HOME=f"{self.etc}/cache")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("BPFILTER_ARCHIVE", done.stderr)

    def test_no_host_is_named(self) -> None:
        """Nowhere in the tree."""
        name = "deb" + "ian.org"
        done = subprocess.run(["git", "grep", "-nIE", rf"(deb|ftp|security|snapshot|archive)\.{name}|//[^ ]*{name}/"],
                              cwd=TREE, stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)
