/**
 * TUN and TAP devices for Node.js on Linux.
 *
 * `openTap` and `openTun` create a network interface of which your program is the other end: you read what the kernel
 * sends out by it, and the kernel receives what you write. Read and write frames one by one, or many at a time with the
 * kernel's offloads ({@link FrameIo}): partial checksums, and segments of up to 64 KiB whatever the MTU.
 * {@link TapLink} makes a device the frontend of a demiflow stack.
 *
 * @packageDocumentation
 */
export { type DeviceOptions, Offload, openTap, openTun, TunTapDevice } from "./device.ts"
export type { DeviceParts } from "./device-parts.ts"
export { TunTapError, type TunTapErrorCode } from "./errors.ts"
export { FRAME_ROOM, FrameIo } from "./frame-io.ts"
export { TapLink, type TapLinkOptions } from "./tap-link.ts"
