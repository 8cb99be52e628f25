/** The servers' addresses for clients that reach the guest through forwarded ports. */
import { type Family, families } from "./topology.ts"

/** From the world: the host's address, which is the guest's as well. */
export const throughHost: readonly Family[] = families.map((family) => ({ ...family, server: family.host }))

/** From the host itself. */
export const throughLoopback: readonly Family[] = families.map((family) => ({ ...family, server: family.loopback }))

/** The guest's second addresses, for rules that name one. */
export const second = { 4: "192.0.2.20", 6: "2001:db8:1::20" } as const
