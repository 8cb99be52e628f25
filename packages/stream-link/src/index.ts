/**
 * Exchanges frames with a hypervisor over a stream socket: a length of four bytes, most significant first, then the
 * frame. This is the format of QEMU's `-netdev stream` (since 7.2), and of `-netdev socket` before.
 *
 * {@link StreamLink} is the link, {@link StreamListener} the UNIX socket at which hypervisors connect, and
 * {@link Hypervisor} joins both with an event loop: one hypervisor at a time, any number of them one after the other.
 * {@link Entrance} admits hypervisors for other protocols.
 *
 * @packageDocumentation
 */
export * from "./entrance.ts"
export * from "./frame-splitter.ts"
export * from "./framing.ts"
export * from "./hypervisor.ts"
export { checkStreamDescriptor } from "./stream-descriptor.ts"
export * from "./stream-errors.ts"
export * from "./stream-link.ts"
export * from "./stream-listener.ts"
