"""Runs a command for which socket() refuses one address family, as a sandbox or a kernel without it does. x86-64 only.

usage: without-family.py FAMILY COMMAND [ARGUMENT]...
"""
import ctypes
import errno
import os
import struct
import sys

ARCHITECTURE, SYSCALL, FIRST_ARGUMENT = 4, 0, 16
X86_64, SOCKET = 0xC000003E, 41
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EAFNOSUPPORT
SET_NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2

# Jump targets: instructions to skip if equal, if not.
program = [
    (LOAD, 0, 0, ARCHITECTURE),
    (JUMP_IF_EQUAL, 0, 5, X86_64),
    (LOAD, 0, 0, SYSCALL),
    (JUMP_IF_EQUAL, 0, 3, SOCKET),
    (LOAD, 0, 0, FIRST_ARGUMENT),
    (JUMP_IF_EQUAL, 0, 1, int(sys.argv[1])),
    (RETURN, 0, 0, FAIL),
    (RETURN, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, FILTER, filter_):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[2], sys.argv[2:])
