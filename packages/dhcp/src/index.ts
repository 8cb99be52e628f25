/** DHCPv4 and DHCPv6 answers for the guest: a protocol plugin of demiflow. */
export {}
