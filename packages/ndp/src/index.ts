/** Neighbour discovery and router advertisements for the guest: a protocol plugin of demiflow. */
export {}
