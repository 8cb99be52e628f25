#!/bin/sh
# What dhclient -6 got, kept in /run/dhclient.EVENT, and put to use.
env | sort > "/run/dhclient.$reason"
[ "$reason" != BOUND6 ] || ip -6 addr add "$new_ip6_address/128" dev "$interface"
