/**
 * The guest side of demiflow: frames in, sequences out, and wrappers around links.
 *
 * {@link TapSide} sits between a link (a tap device, a hypervisor's socket, a {@link MemoryLink}) and a stack of
 * protocols: it checks and groups the guest's frames, and finishes the packets that protocols build. {@link createStack}
 * assembles the two. {@link PacketCapture}, {@link Tracer} and {@link FaultInjector} each wrap a link and are one. The
 * tap device itself is in `@demiflow/tun-tap`.
 *
 * @packageDocumentation
 */
export * from "./create-stack.ts"
export * from "./fault-injector.ts"
export * from "./memory-link.ts"
export * from "./no-link.ts"
export * from "./packet-capture.ts"
export * from "./tap-side.ts"
export * from "./tracer.ts"
