#!/bin/sh
# Stores the lease of dhclient -6 in /run/dhclient.EVENT, and configures the interface.
env | sort > "/run/dhclient.$reason"
[ "$reason" != BOUND6 ] || ip -6 addr add "$new_ip6_address/128" dev "$interface"
