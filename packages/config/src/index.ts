/** Options, port specifications, and what is learnt from the host. */
export {}
