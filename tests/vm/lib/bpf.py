# SPDX-License-Identifier: GPL-2.0
"""BPF programs for the socket tap, written by hand: what clang would make of a few lines of C."""

import contextlib
import ctypes
import os
import struct
from typing import Iterator

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_BPF = 321  # x86_64
_MAP_CREATE, _MAP_UPDATE_ELEM, _PROG_LOAD, _PROG_ATTACH, _PROG_DETACH = 0, 2, 5, 8, 9
_PROG_GET_NEXT_ID, _MAP_GET_NEXT_ID, _PROG_GET_FD_BY_ID, _MAP_GET_FD_BY_ID, _GET_INFO = 11, 12, 13, 14, 15
_SOCKMAP = 15
SOCKET_FILTER, CGROUP_SKB, SK_SKB, CGROUP_SOCKOPT = 1, 8, 14, 25
GETSOCKOPT, SETSOCKOPT = 21, 22  # of a control group

Code = list[tuple[int, int, int, int, int]]  # opcode, destination, source, offset, immediate

R0, R1, R2, R3, R4, R6, R10 = 0, 1, 2, 3, 4, 6, 10


def _mov(to: int, value: int) -> tuple[int, int, int, int, int]:
    return (0xB7, to, 0, 0, value)


def _copy(to: int, source: int) -> tuple[int, int, int, int, int]:
    return (0xBF, to, source, 0, 0)


EXIT = (0x95, 0, 0, 0, 0)
_LENGTH = (0x61, R0, R6, 0, 0)  # r0 = skb->len


def _call(command: int, attributes: bytes) -> int:
    attributes = attributes.ljust(128, b"\0")
    result: int = _libc.syscall(_SYS_BPF, command, ctypes.c_char_p(attributes), len(attributes))
    return result


def sockmap_of(opened: int) -> int:
    """The descriptor of a new sockmap that has this socket."""
    fd = _call(_MAP_CREATE, struct.pack("=5I", _SOCKMAP, 4, 4, 1, 0))
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(struct.pack("=i", opened), 4)
    attributes = struct.pack("=IxxxxQQQ", fd, ctypes.addressof(key), ctypes.addressof(value), 0)
    if fd < 0 or _call(_MAP_UPDATE_ELEM, attributes) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def load(code: Code, kind: int = SOCKET_FILTER, attach: int = 0) -> int:
    """The descriptor of a program."""
    text = b"".join(struct.pack("=BBhi", op, to | source << 4, offset, value) for op, to, source, offset, value in code)
    instructions = ctypes.create_string_buffer(text, len(text))
    licence = ctypes.create_string_buffer(b"GPL")
    def attempt(log: "ctypes.Array[ctypes.c_char] | None") -> int:
        where = (1, len(log), ctypes.addressof(log)) if log else (0, 0, 0)
        attributes = struct.pack("=IIQQIIQ", kind, len(code), ctypes.addressof(instructions),
                                 ctypes.addressof(licence), *where)
        return _call(_PROG_LOAD, attributes.ljust(68, b"\0") + struct.pack("=I", attach))

    fd = attempt(None)
    if fd < 0:
        error = ctypes.get_errno()
        log = ctypes.create_string_buffer(1 << 20)
        attempt(log)  # which says why
        raise OSError(error, os.strerror(error) + "\n" + log.value.decode()[-1000:])
    return fd


@contextlib.contextmanager
def on_cgroup(code: Code, attach: int, path: str) -> Iterator[None]:
    """A program for the socket options of a control group, in the oldest way: nobody else's beside it there."""
    program, group = load(code, CGROUP_SOCKOPT, attach), os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    attributes = struct.pack("=IIII", group, program, attach, 0)
    try:
        if _call(_PROG_ATTACH, attributes) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        yield
        _call(_PROG_DETACH, attributes)
    finally:
        os.close(program)
        os.close(group)


def by_id(number: int) -> int:
    """A descriptor of a program that somebody else has loaded."""
    fd = _call(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def _names(next_id: int, fd_by_id: int, at: int) -> Iterator[str]:
    """Of all programs, or maps, by the commands for them and the name's place in what is known of one."""
    number = ctypes.create_string_buffer(128)
    while True:
        if _libc.syscall(_SYS_BPF, next_id, number, len(number)):
            return
        _, found = struct.unpack_from("=II", number)
        struct.pack_into("=I", number, 0, found)
        fd = _call(fd_by_id, struct.pack("=I", found))
        if fd < 0:
            continue  # it has gone meanwhile
        info = ctypes.create_string_buffer(256)
        _call(_GET_INFO, struct.pack("=IIQ", fd, len(info), ctypes.addressof(info)))
        os.close(fd)
        yield info.raw[at:at + 16].partition(b"\0")[0].decode()


def named(prefix: str) -> list[str]:
    """Programs and maps whose names begin so. bpftool says the same, and takes minutes for thousands."""
    return [name for kind in ((_PROG_GET_NEXT_ID, _PROG_GET_FD_BY_ID, 64), (_MAP_GET_NEXT_ID, _MAP_GET_FD_BY_ID, 24))
            for name in _names(*kind) if name.startswith(prefix)]


def runs_of(fd: int) -> int:
    """How often a program has run since kernel.bpf_stats_enabled is set."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("run_cnt:"))


def id_of(fd: int) -> int:
    """The id of a program, or of another object that has one."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.split(":")[0] in ("prog_id", "map_id", "link_id"))


def _load_bytes(offset: int, size: int) -> Code:
    """These bytes of the message to the stack's top; r0 is not 0 if they are not there."""
    return [_mov(R2, offset), _copy(R3, R10), (0x07, R3, 0, 0, -8), _mov(R4, size), _copy(R1, R6),
            (0x85, 0, 0, 0, 26)]


def constant(value: int) -> Code:
    return [_mov(R0, value), EXIT]


def up_to(size: int) -> Code:
    """A parser: messages of so many bytes, or of what there is."""
    return [_copy(R6, R1), _LENGTH, (0xB5, R0, 0, 1, size), _mov(R0, size), EXIT]


def prefixed() -> Code:
    """A parser: two bytes, big-endian, are the length of what follows."""
    return [_copy(R6, R1), *_load_bytes(0, 2), (0x15, R0, 0, 2, 0), _mov(R0, 0), EXIT,
            (0x69, R0, R10, -8, 0), (0xDC, R0, 0, 0, 16), (0x07, R0, 0, 0, 2), EXIT]


def until_newline(most: int) -> Code:
    """A parser: lines, of up to so many bytes."""
    code = [_copy(R6, R1), _mov(7, 0)]
    body = [_copy(R2, 7), _copy(R3, R10), (0x07, R3, 0, 0, -8), _mov(R4, 1), _copy(R1, R6), (0x85, 0, 0, 0, 26)]
    loop = [*body, (0x15, R0, 0, 2, 0), _mov(R0, 0), EXIT,  # not there
            (0x07, 7, 0, 0, 1), (0x71, R1, R10, -8, 0), (0x55, R1, 0, 2, 10), _copy(R0, 7), EXIT]
    back = -(len(loop) + 1)
    return code + loop + [(0xA5, 7, 0, back, most), _mov(R0, -71), EXIT]


def by_byte(offset: int, answers: dict[int, int], default: int = 0) -> Code:
    """A verdict: by one byte of the message."""
    code = [_copy(R6, R1), *_load_bytes(offset, 1), (0x15, R0, 0, 2, 0), _mov(R0, default), EXIT,
            (0x71, R1, R10, -8, 0)]
    for value, answer in answers.items():
        code += [(0x55, R1, 0, 2, value), _mov(R0, answer), EXIT]
    return code + [_mov(R0, default), EXIT]


def by_length(size: int, answer: int) -> Code:
    """A verdict: messages of exactly so many bytes pass, others get this answer."""
    return [_copy(R6, R1), _LENGTH, (0x55, R0, 0, 2, size), _mov(R0, 0), EXIT, _mov(R0, answer), EXIT]
