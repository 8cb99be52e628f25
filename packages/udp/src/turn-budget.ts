/**
 * Limits of what a socket may deliver before others have their turn, and of the size of its calls.
 */

/**
 * Entries of a receive call: the first call has one more than the single answer that is usual, and later ones double
 * that up to the largest.
 */
export const SMALLEST_BURST = 2
export const LARGEST_BURST = 32
export const BUDGET_DATAGRAMS = 128
export const BUDGET_BYTES: number = 512 * 1024
/** Maximum number of errors pending on a socket that a turn handles: each call that returns one clears it. */
export const BUDGET_ERRORS = 8
