/**
 * TUN and TAP devices for Node.js on Linux.
 *
 * `openTap` and `openTun` make a network interface of which your program is the other end: what the kernel sends out by
 * it, you read, and what you write, the kernel receives. Read and write frames one by one, or many at a time with the
 * kernel's offloads ({@link FrameIo}): checksums left out, and segments of up to 64 KiB whatever the MTU. {@link TapLink}
 * makes a device the frontend of a demiflow stack.
 *
 * @packageDocumentation
 */
export { type DeviceOptions, type DeviceParts, Offload, openTap, openTun, TunTapDevice } from "./device.ts"
export { TunTapError, type TunTapErrorCode } from "./errors.ts"
export { FRAME_ROOM, FrameIo } from "./frame-io.ts"
export { TapLink, type TapLinkOptions } from "./tap-link.ts"
export {
  readVirtioHeader,
  VIRTIO_HEADER_BYTES,
  VirtioFlag,
  VirtioSegmentation,
  writeVirtioHeader,
} from "./virtio-header.ts"
