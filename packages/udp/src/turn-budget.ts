/**
 * What a socket of one flow may pass on before others have their turn, and in how large calls.
 */

/** Entries of a receiving call: the first asks for one more than the single answer that most are, later ones for … */
export const SMALLEST_BURST = 2
export const LARGEST_BURST = 32
export const BUDGET_DATAGRAMS = 128
export const BUDGET_BYTES: number = 512 * 1024
/** Errors pending on a socket that a turn gets over: each call that meets one clears it. */
export const BUDGET_ERRORS = 8
