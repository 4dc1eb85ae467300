# SPDX-License-Identifier: GPL-2.0
"""Which steps there are, and which of them are done side by side.

A guest rarely has work for two processors, so there is a track for each kernel; and one for what
runs on this machine, which gives way to the guests (nice), since they wait for things to happen.
"""

import os

from . import counts
from .steps import CACHE, TREE, Step, Track

KERNELS = ("6.1", "6.12")
PROGRAMS = "/usr/lib/bpfilter-tests"  # in a guest
# For tests/vm/xdp_auto.py; the debug kernel has no driver for it.
CABLE = {kernel: ("--cable", "igb") for kernel in KERNELS}
UNIT = f"{TREE}/build/umh"
JOBS = str(os.cpu_count() or 1)
GIVE_WAY = 5

# What the sanitizers' run depends on.
HELPER_SOURCES = tuple(f"--file={TREE}/{name}" for name in
                       ("umh", "include", "uapi", "tests/unit", "tests/CMakeLists.txt", "scripts/build-helper",
                        "scripts/bpf-object"))
COMPILER = ("--package=clang-*", "--package=lib*-dev")


def script(path: str, *arguments: str) -> list[str]:
    return [f"{TREE}/{path}", *arguments]


def once(name: str, keys: list[str], command: list[str]) -> list[str]:
    """Not again when it passed with the same content."""
    return script("scripts/once", name, *keys, "--", *command)


# What is built.

HELPER = Step("build the helper", script("scripts/build-helper"))
UNIT_TESTS = Step("build the unit tests", script("scripts/build-helper", "tests"))
# The program with which tests/vm/compat.py asks.
CALLER32 = Step("build the 32-bit caller", script("tests/compat/build"))
# What tests/vm/selftest.py, applications.py and stapctl.py run.
TAP = Step("build what the tap is tested with", script("tests/stap/build"))
DATA_SUITES = ("atomic", "chains", "counters", "extensions", "helper_death", "iptables", "match", "netns", "sockopt",
               "tables")
PROGRAM_STEPS = (CALLER32, TAP)
# What takes longer than it is worth every time is tried as well.
LONG = bool(os.environ.get("LONG"))
ENVIRONMENT = ("env", "LONG=1") if LONG else ()
# For tests/vm/conformance.py and iptables_shell.py, and clients.py.
CONFORMANCE = Step("fetch iptables' own tests",
                   script("scripts/fetch", "iptables", "newer", *(["programs"] if LONG else [])))
CONFORMANCE_ADDS = [f"--add={CACHE}/{name}:{PROGRAMS}/{name}" for name in ("iptables", "iptables-newer")]
REAL_ADDS = [f"--add={CACHE}/programs/root:/"] if LONG else []  # for tests/vm/programs_*.py
MADE_BY = {CALLER32.name: ("sockopt32",), TAP.name: ("tls_selftest", "tap_preload.so", "examples")}


def fetch(kernel: str) -> Step:
    return Step(f"fetch {kernel}", script("scripts/fetch", "userland", "qemu", kernel))


def modules(kernel: str, after: Step | None) -> Step:
    return Step(f"build the modules, {kernel}", script("scripts/build-modules", kernel),
                after=(after.name,) if after else ())


def test_modules(kernel: str) -> Step:
    """With which the tests of tests/vm take the helper's place, or the memory."""
    return Step(f"build the tests' modules, {kernel}", script("tests/kmod/build", kernel))


TEST_MODULES = ("no_memory", "fail_call", "fill_files", "hold_rtnl", "xt_hostile")


# What runs in guests.

def vm(kernel: str, *arguments: str) -> list[str]:
    return script("scripts/vm", "-k", kernel, *arguments)


def vm_suite(kernel: str, timeout: int, *filters: str, programs: tuple[Step, ...] = PROGRAM_STEPS,
             form: str = "auto") -> Step:
    """With as many of the programs as have been built, or are being built, for it. Where each takes long, without
    iptables' own tests."""
    conformance = bool(programs) and kernel != "debug"
    adds = ["tests:/tests", f"build/fake-{kernel}.ko:{PROGRAMS}/bpfilter_umh.ko",
            *(f"build/{name}-{kernel}.ko:{PROGRAMS}/{name}.ko" for name in TEST_MODULES)]
    adds += [f"build/{name}:{PROGRAMS}/{name}" for step in programs for name in MADE_BY[step.name]]
    options = [*CABLE.get(kernel, ()), *(f"--add={TREE}/{add}" for add in adds)]
    options += [*CONFORMANCE_ADDS, *REAL_ADDS] if conformance else []
    return Step(f"VM suite, {kernel}" + (f", form={form}" if form != "auto" else ""),
                vm(kernel, "--timeout", str(timeout), *options, "--", *ENVIRONMENT, "/tests/vm/run", "--form", form,
                   *filters), counts.guest,
                after=tuple(step.name for step in (*programs, *([CONFORMANCE] if conformance else []))))


def stock_suite(kernel: str) -> Step:
    """The suite with the kernel's own ip_tables, for which it was right, is right."""
    guest = [f"{CACHE}/{part}" for part in ("userland/root.img", "qemu", f"kernels/{kernel}/vmlinuz",
                                            f"kernels/{kernel}/modules.img")]
    keys = [f"--file={path}" for path in
            (*guest, *(f"{TREE}/{path}" for path in ("tests/vm", "tests/compat", "tests/demo", "tests/kmod/xt_hostile",
                                             "tests/rulesets", "scripts/vm", "scripts/guest")))]
    name = f"VM suite, {kernel}, ip_tables"
    return Step(name, once(name, keys, vm(kernel, "--no-modules", "--timeout", "2400", f"--add={TREE}/tests:/tests",
                                          "--add", f"{TREE}/build/sockopt32:{PROGRAMS}/sockopt32",
                                          "--add", f"{TREE}/build/xt_hostile-{kernel}.ko:{PROGRAMS}/xt_hostile.ko",
                                          *REAL_ADDS, "--", *ENVIRONMENT, "/tests/vm/run", "--stock")),
                counts.guest, after=(CALLER32.name, CONFORMANCE.name))


def vm_unit(kernel: str, seed: str) -> Step:
    """The tests that load programs, where these must load: in kernels of ours."""
    adds = [f"--add={UNIT}/tests/{stage}_test:/unit/{stage}_test" for stage in ("codegen", "load", "tap", "xdp")]
    return Step(f"unit tests, {kernel}",
                vm(kernel, "--no-modules", "--timeout", "900", *adds, "--",
                   f"export BPFILTER_SEED={seed}; status=0; for test in /unit/*; do $test || status=1; done; "
                   "exit $status"), counts.gtest, after=(UNIT_TESTS.name,))


def data_suite(kernel: str) -> Step:
    """What tables do, with records for small ones as well."""
    return vm_suite(kernel, 1800, *DATA_SUITES, form="data")


def oracle(kernel: str, seed: str) -> Step:
    return Step(f"oracle, {kernel}", script("tests/oracle/run", "-k", kernel, "--seed", seed))


# What runs here.

def unit_tests() -> Step:
    return Step("unit tests", ["ctest", "--test-dir", UNIT, "--output-on-failure", "-j", JOBS], counts.ctest)


def sanitized_tests() -> Step:
    """Their result depends on this machine's kernel, which loads the programs, and on who asks it."""
    name = "unit tests, sanitized"
    keys = [*HELPER_SOURCES, *COMPILER, f"--value={os.uname().release} {os.geteuid()}"]
    return Step(name, once(name, keys, ["sh", "-c", f"{TREE}/scripts/build-helper sanitize && "
                                        f"ctest --test-dir {UNIT}-sanitize --output-on-failure -j {JOBS}"]),
                counts.ctest)


def fuzz(seed: str) -> Step:
    """Once with every seed, so with every commit: it goes on where it stopped."""
    keys = [*HELPER_SOURCES, f"--file={TREE}/tests/fuzz", f"--file={TREE}/scripts/fuzz", *COMPILER,
            f"--value={seed}"]
    return Step("fuzz", once("fuzz", keys, script("scripts/fuzz", "60")), counts.summary)


LINT = Step("lint", script("scripts/lint"), counts.summary)
SCRIPTS = Step("script tests", script("scripts/test-scripts"), counts.unittests)


def programs() -> Track:
    """By itself, since it may have to wait for something to be fetched."""
    return Track("programs", [*PROGRAM_STEPS, CONFORMANCE])


def everything(seed: str) -> list[Track]:
    here = Track("here", [HELPER, UNIT_TESTS, unit_tests(), SCRIPTS, LINT, sanitized_tests(), fuzz(seed)],
                 nice=GIVE_WAY)
    return [here, programs(),
            *(Track(kernel, [fetch(kernel), modules(kernel, HELPER), test_modules(kernel), vm_suite(kernel, 3600),
                             data_suite(kernel), vm_unit(kernel, seed), stock_suite(kernel), oracle(kernel, seed)])
              for kernel in KERNELS)]


def quick(_: str) -> list[Track]:
    """For who is new here: every part at work on both kernels, without what takes long to fetch."""
    with open(f"{TREE}/tests/vm/quick", encoding="utf-8") as file:
        chosen = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    here = Track("here", [HELPER, UNIT_TESTS, unit_tests()], nice=GIVE_WAY)
    return [here, *(Track(kernel, [fetch(kernel), modules(kernel, HELPER), test_modules(kernel),
                                   vm_suite(kernel, 900, *chosen, programs=())]) for kernel in KERNELS)]


def debug(_: str) -> list[Track]:
    return [Track("", [HELPER, modules("debug", None), test_modules("debug"), *PROGRAM_STEPS,
                       vm_suite("debug", 7200)])]
