#!/bin/sh
# Configures the interface with the lease of udhcpc.
case $1 in
bound | renew)
  ip -4 addr flush dev "$interface" scope global
  ip addr add "$ip/$mask" dev "$interface"
  [ -z "${mtu:-}" ] || ip link set "$interface" mtu "$mtu"
  [ -z "${router:-}" ] || ip route add default via "$router" dev "$interface"
  : > /etc/resolv.conf
  for address in ${dns:-}; do echo "nameserver $address" >> /etc/resolv.conf; done
  [ -z "${search:-}" ] || echo "search $search" >> /etc/resolv.conf
  ;;
esac
