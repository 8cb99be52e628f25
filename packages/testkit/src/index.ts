/** Simulated host, scripted guest, virtual clock and compliance suites for demiflow plugins. */
export {}
