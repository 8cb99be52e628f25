"""Tries to get at processes, by their numbers; prints what has succeeded, a line of JSON."""

import ctypes
import json
import os
import sys

PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206

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


ATTEMPTS = {
    "read memory": lambda process: open(f"/proc/{process}/mem", "rb"),
    "write memory": lambda process: open(f"/proc/{process}/mem", "r+b"),
    "attach": attach,
    "read environment": lambda process: open(f"/proc/{process}/environ", "rb").read(1),
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
