"""Connects, says so, and waits for the end of the connection: prints the error's name, or "end".

Arguments: address, port, and "ask" for keep-alives: after a second of silence, and once more.
"""

import errno
import socket
import sys

s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
if sys.argv[3:] == ["ask"]:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
        s.setsockopt(socket.IPPROTO_TCP, option, value)
print("connected", flush=True)
try:
    print("data" if s.recv(1) else "end", flush=True)
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
