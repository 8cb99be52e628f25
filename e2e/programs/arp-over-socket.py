"""A guest of passt: asks for the router by ARP over the socket, and prints "router answers".

Argument: the socket's path.
"""

import socket
import struct
import sys

GUEST, ROUTER = "169.254.2.1", "169.254.2.2"
MAC = bytes.fromhex("020000000001")
request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + MAC + socket.inet_aton(GUEST) + bytes(6) + socket.inet_aton(ROUTER)
frame = b"\xff" * 6 + MAC + b"\x08\x06" + request
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
stream.sendall(struct.pack("!I", len(frame)) + frame)
while True:
    (length,) = struct.unpack("!I", stream.recv(4, socket.MSG_WAITALL))
    received = stream.recv(length, socket.MSG_WAITALL)
    if received[12:14] == b"\x08\x06" and received[28:32] == socket.inet_aton(ROUTER):
        print("router answers")
        break
