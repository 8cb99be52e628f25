"""Tries to get at processes, by their numbers; prints what has succeeded, a line of JSON."""

import ctypes
import json
import os
import socket
import sys

PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
# The number on all architectures.
PIDFD_GETFD = 438
DESCRIPTORS = range(64)

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4


def attach(process):
    for request in (PTRACE_SEIZE, PTRACE_ATTACH):
        if libc.ptrace(request, process, 0, 0) == 0:
            return
    raise PermissionError


def enter(process):
    # Python has setns() only from 3.12 on.
    descriptor = os.open(f"/proc/{process}/ns/user", os.O_RDONLY)
    if libc.setns(descriptor, 0) != 0:
        raise PermissionError


def first_that_works(attempts):
    for attempt in attempts:
        try:
            return attempt()
        except OSError:
            pass
    raise PermissionError


def open_descriptor(process):
    paths = [f"/proc/{process}/{folder}/{number}" for folder in ("fd", f"task/{process}/fd") for number in DESCRIPTORS]
    modes = (os.O_RDONLY, os.O_WRONLY, os.O_PATH)
    first_that_works(lambda path=path, mode=mode: os.open(path, mode) for path in paths for mode in modes)


def take_descriptor(process):
    pidfd = os.pidfd_open(process)
    if all(libc.syscall(PIDFD_GETFD, pidfd, number, 0) < 0 for number in DESCRIPTORS):
        raise PermissionError


def connect(process):
    """To a socket without a file: of all that have a name here, and in the network namespace of the process."""
    lines = [line for net in ("net", f"{process}/net") for line in open(f"/proc/{net}/unix")]
    names = {line.split()[7][1:] for line in lines if len(line.split()) > 7 and line.split()[7][0] == "@"}
    types = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
    first_that_works(
        lambda name=name, type=type: socket.socket(socket.AF_UNIX, type).connect("\0" + name)
        for name in names
        for type in types
    )


ATTEMPTS = {
    "read memory": lambda process: open(f"/proc/{process}/mem", "rb"),
    "write memory": lambda process: open(f"/proc/{process}/mem", "r+b"),
    "attach": attach,
    "read environment": lambda process: open(f"/proc/{process}/environ", "rb").read(1),
    "open a descriptor": open_descriptor,
    "take a descriptor": take_descriptor,
    "connect to a socket": connect,
    "list descriptors": lambda process: os.listdir(f"/proc/{process}/fd"),
    "reach its root": lambda process: os.listdir(f"/proc/{process}/root/etc"),
    "enter its user namespace": enter,
}

succeeded = []
for process in map(int, sys.argv[1:]):
    if not os.path.exists(f"/proc/{process}"):
        sys.exit(f"process {process} can't be seen")
    for name, attempt in ATTEMPTS.items():
        try:
            attempt(process)
        except OSError:
            continue
        succeeded.append([process, name])
print(json.dumps(succeeded))
