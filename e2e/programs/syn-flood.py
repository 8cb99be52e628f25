"""Sends TCP SYNs on an interface as fast as it takes them, and answers nothing that comes back.

Argument: {"interface", "gateway": hardware address, "from": [addresses], "to": address, "ports": [first, last],
"count"} as JSON. The addresses take turns, source ports and sequence numbers are any. Prints "sent" at the end and
stays until standard input ends.
"""

import json
import random
import socket
import struct
import sys
from ipaddress import ip_address

request = json.loads(sys.argv[1])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((request["interface"], 0))
gateway = bytes.fromhex(request["gateway"].replace(":", ""))
ours = s.getsockname()[4]
to = ip_address(request["to"])
senders = [ip_address(address) for address in request["from"]]
first, last = request["ports"]
random.seed(1)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(sender):
    ports = random.randint(1024, 65535), random.randint(first, last)
    segment = struct.pack("!HHIIBBHHHBBH", *ports, random.getrandbits(32), 0, 6 << 4, 2, 64240, 0, 0, 2, 4, 1460)
    pseudo = sender.packed + to.packed + struct.pack("!HH", 6, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    if to.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(segment), 6, 64) + sender.packed + to.packed + segment
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, 6, 0) + sender.packed + to.packed
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + segment


link = gateway + ours + struct.pack("!H", 0x0800 if to.version == 4 else 0x86DD)
for number in range(request["count"]):
    try:
        s.send(link + syn(senders[number % len(senders)]))
    except OSError:
        pass  # The interface's queue is full.
print("sent", flush=True)
sys.stdin.read()
