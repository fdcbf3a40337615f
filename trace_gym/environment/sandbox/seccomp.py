"""The system calls that programs in a sandbox are denied, as a filter that the kernel runs (seccomp BPF).

Denied is what could reach beyond the sandbox or outlast a command: mounts, name spaces, tracing, kernel
interfaces with a history of holes, raw and exotic sockets, System V memory, and every call newer than this
list. Numbers are from Linux's unistd tables (x86-64, and the generic one for AArch64). Leaves out what
capabilities and file permissions deny already.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator

# name: (x86-64, AArch64); None where the architecture has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "unshare": (272, 97),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "memfd_secret": (447, 447),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "get_kernel_syms": (177, None),
    "query_module": (178, None),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "vhangup": (153, 58),
    "syslog": (103, 116),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
}

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH
MACHINES = tuple(_ARCHITECTURES)
"""The machine types that there is a filter for."""
_CLONE, _CLONE3, _SOCKET, _SOCKETPAIR = (56, 220), (435, 435), (41, 198), (53, 199)
_IOCTL, _PRLIMIT, _PERSONALITY = (16, 29), (302, 261), (135, 92)
_NEWEST = 450  # later calls are unknown to this list
_X32 = 0x40000000  # the bit of x86-64's second table of calls
_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW flag that clone(2) takes
_UNIX, _INET, _INET6, _NETLINK, _ROUTE = 1, 2, 10, 16, 0
_RAW, _PACKET, _TYPE_MASK = 3, 10, 0xF
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # put words into a terminal's input

_LOAD, _AND, _EQUAL, _ABOVE_OR_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def filter_program(machine: str | None = None) -> bytes | None:
    """The compiled filter for a machine type (default: this one's); None where there is no table for it."""
    known = _ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        return None
    column, arch = known
    program: list[Instruction] = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _ENOSYS)]
    program += [(_LOAD, 0, 0, _NUMBER)]
    program += [(_ABOVE_OR_EQUAL, 0, 1, _X32), (_RETURN, 0, 0, _ENOSYS)]
    program += [(_ABOVE_OR_EQUAL, 0, 1, _NEWEST + 1), (_RETURN, 0, 0, _ENOSYS)]
    program += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ENOSYS)]
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)]
    for call, body in _by_argument(column):
        program += [(_EQUAL, 0, len(body), call), *body]
    program += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _by_argument(column: int) -> Iterator[tuple[int, list[Instruction]]]:
    """Calls that depend on an argument; each body ends in a return."""
    allow, deny = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)
    yield _CLONE[column], [_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), deny, allow]
    yield _PRLIMIT[column], [_argument(0), (_EQUAL, 0, 1, 0), allow, deny]
    yield _SOCKETPAIR[column], [_argument(0), (_EQUAL, 0, 1, _UNIX), allow, deny]
    yield (
        _PERSONALITY[column],
        [_argument(0), (_EQUAL, 1, 0, 0), (_EQUAL, 0, 1, 0xFFFFFFFF), allow, deny],
    )
    yield (
        _IOCTL[column],
        [_argument(1), (_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX), deny, allow],
    )
    yield (
        _SOCKET[column],
        [
            _argument(0),
            (_EQUAL, 5, 0, _UNIX),
            (_EQUAL, 4, 0, _INET),
            (_EQUAL, 3, 0, _INET6),
            (_EQUAL, 0, 6, _NETLINK),
            _argument(2),
            (_EQUAL, 5, 4, _ROUTE),
            _argument(1),
            (_AND, 0, 0, _TYPE_MASK),
            (_EQUAL, 1, 0, _RAW),
            (_EQUAL, 0, 1, _PACKET),
            deny,
            allow,
        ],
    )


def _argument(index: int) -> Instruction:
    """Load the low half of an argument (both architectures are little-endian)."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)
