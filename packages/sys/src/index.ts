/** Linux for demiflow: system calls, event loop, host sockets, namespaces and rtnetlink. */
export {}
