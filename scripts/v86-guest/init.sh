#!/bin/busybox sh
# The guest's init: a shell on the first serial port. The network is set up after Enter, so that a guest that resumes
# from a saved state gets a lease of its own.
export PATH=/bin HOME=/root PS1='guest # '
/bin/busybox mkdir -p /proc /sys /dev /tmp /root /etc
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module.ko"; done < /modules/order
ip link set lo up
httpd -h /www
echo
echo 'Press Enter to connect.'
read -r _
ip link set eth0 up
udhcpc -q -n -f -i eth0 -s /etc/udhcpc > /dev/null
# An address by router advertisement, once no other station has been found to have it.
for _ in $(seq 50); do
  ip -6 addr show dev eth0 scope global | grep inet6 | grep -qv tentative && break
  sleep 0.1
done
ip addr show dev eth0 | grep inet
cd /root
while :; do setsid cttyhack sh; done
