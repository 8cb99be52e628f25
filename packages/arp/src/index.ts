/** ARP answers for the guest: a protocol plugin of demiflow. */
export {}
