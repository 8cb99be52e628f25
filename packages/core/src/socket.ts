declare const brand: unique symbol

/** An open socket, 0 or above; a negative value is a negated error number. */
export type Socket = number & { readonly [brand]: true }

/** No socket. */
export const NO_SOCKET: Socket = -1 as Socket
