"""Sends a datagram from each of many ports, or an echo request under each of many identifiers.

Argument: {"to": address, "port", "count", "isPing"} as JSON. Prints "sent" at the end and stays until standard input ends.
"""

import json
import socket
import sys

request = json.loads(sys.argv[1])
isV4 = ":" not in request["to"]
family = socket.AF_INET if isV4 else socket.AF_INET6
protocol = (socket.IPPROTO_ICMP if isV4 else socket.IPPROTO_ICMPV6) if request["isPing"] else 0
echo = bytes([8 if isV4 else 128, 0, 0, 0, 0, 0, 0, 1])
sockets = []
for number in range(request["count"]):
    s = socket.socket(family, socket.SOCK_DGRAM, protocol)
    s.connect((request["to"], 0 if request["isPing"] else request["port"]))
    s.send(echo if request["isPing"] else b"?")
    sockets.append(s)
print("sent", flush=True)
sys.stdin.read()
