"""What the process gives up before it looks at the first byte of a stranger.

`limit` is for the start (memory, processor time, no files written, no core). `lock` is for when everything is imported:
no further file, socket, process or signal. Where the kernel allows it, the process leaves the network by a namespace of
its own, and a filter leaves it the system calls of computing and of two pipes. A machine without these keeps the rest.

The filter answers EPERM instead of killing: a library that asks for more than it needs goes on without.
"""

import ctypes
import os
import platform
import resource
import struct

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _SET_DUMPABLE, _FILTER = 38, 22, 4, 2
_NEW_USER, _NEW_NET, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1

# read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn readv writev sched_yield
# mremap madvise nanosleep getpid exit gettimeofday futex clock_gettime clock_nanosleep exit_group gettid restart_syscall
# getrandom rseq sigaltstack sched_getaffinity getrusage, poll or ppoll
_MACHINES: dict[str, tuple[int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        (
            *(0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 24, 25, 28, 35, 39, 60, 96, 98, 131, 186, 202, 204),
            *(219, 228, 230, 231, 318, 334),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(57, 62, 63, 64, 65, 66, 73, 80, 93, 94, 98, 101, 113, 115, 123, 124, 128, 132, 134, 135, 139, 165, 169),
            *(172, 178, 214, 215, 216, 222, 226, 233, 278, 293),
        ),
    ),
}


def limit(memory_bytes: int, processor_seconds: int) -> None:
    """Bound the process. Nothing of this can be taken back by it."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, processor_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        hard = resource.getrlimit(what)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))


def lock() -> bool:
    """Give up files, network, processes. Whether the filter of system calls is in force."""
    system = ctypes.CDLL(None, use_errno=True)
    system.unshare(_NEW_USER | _NEW_NET | _NEW_IPC)  # refused on some machines; the filter closes the same doors
    # No process may be started: for the superuser the kernel does not count, but the filter does.
    for what, most in ((resource.RLIMIT_NOFILE, 0), (resource.RLIMIT_NPROC, 0)):
        resource.setrlimit(what, (most, most))
    system.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    program = filter_program(platform.machine())
    if program is None:
        return False
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
    return bool(system.prctl(_SET_SECCOMP, _FILTER, header, 0, 0) == 0)


def filter_program(machine: str) -> bytes | None:
    """The filter as the kernel reads it (classic BPF); None for machines whose numbers we do not know."""
    known = _MACHINES.get(machine)
    if known is None:
        return None
    architecture, calls = known
    lines = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, 0),
        *((_EQUAL, len(calls) - index, 0, call) for index, call in enumerate(calls)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def close_inherited() -> None:
    """Close every descriptor but the three that everybody has."""
    os.closerange(3, 4_096)
