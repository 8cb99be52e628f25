import type { DropReason } from "./drops.ts"

declare const brand: unique symbol

/**
 * What became of a sequence: {@link HANDLED}, {@link NOT_MINE}, or the reason why all of it was dropped, which the
 * caller then counts. A handler that drops only some packets of a sequence counts these itself and returns
 * {@link HANDLED}.
 */
export type Disposition = (number & { readonly [brand]: true }) | DropReason

/** The sequence was handled. */
export const HANDLED: Disposition = -1 as Disposition
/** The sequence is offered to the next handler with a claim on it. */
export const NOT_MINE: Disposition = -2 as Disposition
