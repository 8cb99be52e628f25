/** The vocabulary of demiflow: addresses, demiflows, wire formats, checksums, and the interfaces that protocols, links and hosts implement. */
export {}
