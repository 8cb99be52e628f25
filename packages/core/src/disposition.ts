import type { DropReason } from "./drops.ts"

declare const brand: unique symbol

/**
 * What became of a sequence: {@link HANDLED}, {@link NOT_MINE}, or the reason for which all of it was dropped, which
 * the caller then counts. A handler that drops some packets of a sequence counts these itself and says handled.
 */
export type Disposition = (number & { readonly [brand]: true }) | DropReason

/** The sequence was taken care of. */
export const HANDLED: Disposition = -1 as Disposition
/** The next handler with a claim on it may have the sequence. */
export const NOT_MINE: Disposition = -2 as Disposition
