#!/bin/sh
# The systemd unit, from its start to its end: prints what a guest and the system see.
systemctl start passt@vm1
until [ -S /run/passt-vm1/socket ] || ! systemctl --quiet is-active passt@vm1; do sleep 1; done
pid=$(systemctl show --property=MainPID --value passt@vm1)
echo "profile: $(cat "/proc/$pid/attr/current")"
echo "user: $(ps -o user= -p "$pid")"
python3 e2e/programs/arp-over-socket.py /run/passt-vm1/socket
systemctl stop passt@vm1
systemctl show --property=Result --property=ExecMainStatus passt@vm1
[ -e /run/passt-vm1 ] || echo "nothing stays"
