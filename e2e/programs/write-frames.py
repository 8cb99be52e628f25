"""Writes Ethernet frames to an interface as they are: a frame a line on standard input, in hexadecimal.

Argument: the interface's name. An empty line asks how many frames the interface took since the last one.
"""

import socket
import sys

s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
taken = 0
print("ready", flush=True)
for line in sys.stdin:
    frame = bytes.fromhex(line.strip())
    if not frame:
        print("taken", taken, flush=True)
        taken = 0
        continue
    try:
        s.send(frame)
        taken += 1
    except OSError:
        pass  # Shorter than an Ethernet header, or longer than the MTU.
