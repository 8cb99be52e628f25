#!/bin/busybox sh
# The guest's init: sets up what every program needs, and then runs requests from the
# first serial port. A request is a line: a number and a script in base64. The answer is a line: the number, the
# script's exit status, and in base64 what it printed. The kernel's own messages go to the second port.
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /etc
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module.ko"; done < /modules/order
ip link set lo up
# Answers must not wait for duplicate address detection.
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad

stty -F /dev/ttyS0 raw -echo
exec < /dev/ttyS0 > /dev/ttyS0
echo ready
while read -r number script; do
  echo "$script" | base64 -d > /tmp/script
  sh -eu /tmp/script > /tmp/output 2>&1 < /dev/null
  echo "$number $? $(base64 -w 0 /tmp/output)"
done
