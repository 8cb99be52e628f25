"""Sends one datagram from a connected socket and says which error came back for it.

Arguments: address, port, bytes; "nofragment" to forbid fragments, "trace" to do so as tracepath does, or the number of an IP protocol other than UDP, for which
it takes root. Prints JSON: the error's name,
and from the kernel's error queue the ICMP type and code, the reported MTU, who sent it, and how much of
the datagram the ICMP message quoted.
"""

import errno
import json
import select
import socket
import struct
import sys

IP_MTU_DISCOVER, IP_RECVERR, IPV6_MTU_DISCOVER, IPV6_RECVERR, DO, PROBE = 10, 11, 23, 25, 2, 3
IP_TTL, IPV6_UNICAST_HOPS = 2, 16

address, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
six = ":" in address
protocol = int(sys.argv[4]) if sys.argv[4:] and sys.argv[4].isdigit() else 0
kind = socket.SOCK_RAW if protocol else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind, protocol)
level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
s.setsockopt(level, IPV6_RECVERR if six else IP_RECVERR, 1)
if sys.argv[4:] in (["nofragment"], ["trace"]):
    s.setsockopt(level, IPV6_MTU_DISCOVER if six else IP_MTU_DISCOVER, DO if sys.argv[4] == "nofragment" else PROBE)
if sys.argv[4:] == ["trace"]:
    s.setsockopt(level, IPV6_UNICAST_HOPS if six else IP_TTL, 1)
payload = bytes(i % 251 for i in range(size))
try:
    s.connect((address, 0 if protocol else port))
    s.send(payload)
except OSError as error:
    print(json.dumps({"error": "local " + errno.errorcode[error.errno]}))
    sys.exit(0)
poll = select.poll()
poll.register(s, select.POLLERR)
if not poll.poll(10000):
    print(json.dumps({"error": "none"}))
    sys.exit(0)
quoted, control, _, _ = s.recvmsg(65536, 1024, socket.MSG_ERRQUEUE)
for _, _, data in control:
    number, origin, kind, code, _, info, _ = struct.unpack("=IBBBBII", data[:16])
    offender = data[16:]
    source = socket.inet_ntop(socket.AF_INET6, offender[8:24]) if six else socket.inet_ntop(socket.AF_INET, offender[4:8])
    result = {"error": errno.errorcode[number], "type": kind, "code": code, "mtu": info, "from": source}
    print(json.dumps({**result, "quoted": payload.startswith(quoted) and len(quoted)}))
