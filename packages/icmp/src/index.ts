/** Echo over ping sockets and ICMP errors in both directions: a protocol plugin of demiflow. */
export {}
