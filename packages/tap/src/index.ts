/**
 * The guest side of demiflow: frames in, sequences out, and wrappers around links.
 *
 * {@link TapSide} sits between a link (a tap device, a hypervisor's socket, a {@link MemoryLink}) and a stack of
 * protocols: it checks and groups the guest's frames, and finishes the packets that protocols build.
 * {@link PacketCapture}, {@link Tracer} and {@link FaultInjector} each wrap a link and are links
 * themselves. The tap device is in `@demiflow/tun-tap`.
 *
 * @packageDocumentation
 */
export * from "./links/fault-injector.ts"
export * from "./links/memory-link.ts"
export * from "./links/no-link.ts"
export * from "./links/packet-capture.ts"
export * from "./links/tracer.ts"
export * from "./tap-side.ts"
