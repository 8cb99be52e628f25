/** The process that moves the packets. */
export {}
