/** UDP flows between a guest's frames and host sockets: a protocol plugin of demiflow. */
export {}
