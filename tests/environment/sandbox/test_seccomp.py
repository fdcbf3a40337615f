"""The filter of system calls, run by a small BPF machine written from the kernel's description."""

from __future__ import annotations

import struct

import pytest

from trace_gym.environment.sandbox.seccomp import DENIED, filter_program

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X86 = {"read": 0, "write": 1, "openat": 257, "execve": 59, "fork": 57, "kill": 62, "clone": 56, "clone3": 435}


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the kernel would do with a call."""
    program = filter_program(machine)
    assert program is not None
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    padded = [*arguments, *[0] * (6 - len(arguments))]
    arch = ARCH[machine] if arch is None else arch
    data = struct.pack("=IIQ6Q", number, arch, 0, *(each & (1 << 64) - 1 for each in padded))
    at, register = 0, 0
    while True:
        what, then, otherwise, operand = code[at]
        at += 1
        if what == 0x20:
            (register,) = struct.unpack_from("=I", data, operand)
        elif what == 0x54:
            register &= operand
        elif what == 0x06:
            return operand
        else:
            hit = {0x15: register == operand, 0x35: register >= operand, 0x45: bool(register & operand)}[what]
            at += then if hit else otherwise


@pytest.mark.parametrize("name", ["read", "write", "openat", "execve", "fork", "kill"])
def test_ordinary_calls_pass(name: str) -> None:
    assert verdict("x86_64", X86[name]) == ALLOW


@pytest.mark.parametrize("column", [0, 1])
def test_denied_calls_are_refused(column: int) -> None:
    machine = ("x86_64", "aarch64")[column]
    for name, numbers in DENIED.items():
        if numbers[column] is not None:
            assert verdict(machine, numbers[column]) == EPERM, name


@pytest.mark.parametrize(
    ("domain", "kind", "protocol", "allowed"),
    [
        (1, 1, 0, True),
        (2, 1, 0, True),
        (2, 2 | 0o2000000, 17, True),
        (10, 1, 6, True),
        (16, 3, 0, True),
        (2, 3, 1, False),
        (2, 3 | 0o2000000, 1, False),
        (10, 3, 58, False),
        (2, 10, 0, False),
        (16, 3, 9, False),
        (17, 3, 0, False),
        (38, 5, 0, False),
        (40, 1, 0, False),
    ],
)
def test_sockets_go_by_family_and_kind(domain: int, kind: int, protocol: int, allowed: bool) -> None:
    for machine, number in (("x86_64", 41), ("aarch64", 198)):
        assert verdict(machine, number, domain, kind, protocol) == (ALLOW if allowed else EPERM)


def test_new_name_spaces_are_refused_but_threads_are_not() -> None:
    thread = 0x3D0F00
    assert verdict("x86_64", X86["clone"], thread) == ALLOW
    assert verdict("x86_64", X86["clone"], 17) == ALLOW
    for flag in (0x10000000, 0x20000, 0x40000000, 0x8000000, 0x4000000, 0x20000000, 0x2000000):
        assert verdict("x86_64", X86["clone"], flag | 17) == EPERM
    assert verdict("x86_64", X86["clone3"]) == ENOSYS


def test_arguments_decide_for_limits_terminals_and_personalities() -> None:
    assert verdict("x86_64", 302, 0) == ALLOW
    assert verdict("x86_64", 302, 1) == EPERM
    assert verdict("x86_64", 16, 0, 0x5401) == ALLOW
    assert verdict("x86_64", 16, 0, 0x5412) == EPERM
    assert verdict("x86_64", 16, 0, 0x541C) == EPERM
    assert verdict("x86_64", 135, 0xFFFFFFFF) == ALLOW
    assert verdict("x86_64", 135, 0) == ALLOW
    assert verdict("x86_64", 135, 0x40000) == EPERM
    assert verdict("x86_64", 53, 1) == ALLOW
    assert verdict("x86_64", 53, 40) == EPERM


def test_other_tables_and_newer_calls_do_not_exist() -> None:
    assert verdict("x86_64", 0, arch=0x40000003) == ENOSYS
    assert verdict("x86_64", 0x40000000) == ENOSYS
    assert verdict("x86_64", 451) == ENOSYS
    assert verdict("aarch64", 9999) == ENOSYS


def test_an_unknown_machine_has_no_filter() -> None:
    assert filter_program("riscv64") is None
