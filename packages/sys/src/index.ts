/**
 * Linux for demiflow: system calls over one arena, the event loop of the data path, host sockets, namespaces and
 * netlink.
 *
 * @packageDocumentation
 */
export * from "./attach.ts"
export { BoundPorts } from "./bound-ports.ts"
export * from "./clock.ts"
export * from "./constants.ts"
export * from "./control-message.ts"
export { DescriptorShares, descriptorLimit } from "./descriptor-shares.ts"
export * from "./errno.ts"
export * from "./event-loop.ts"
export * from "./linux-sockets.ts"
export * from "./local-path.ts"
export * from "./message-table.ts"
export * from "./namespace/index.ts"
export * from "./native.ts"
export { NativeUnavailableError, useNativeContents, useNativeFolder } from "./native-files.ts"
export * from "./netlink/index.ts"
export * from "./pipes.ts"
export * from "./process/index.ts"
export * from "./random.ts"
export * from "./ring-constants.ts"
export * from "./socket-address.ts"
export type { OutboundOptions } from "./socket-opener.ts"
export * from "./unix-socket.ts"
export { createUnnamedFile, pathOfDescriptor } from "./unnamed-file.ts"
export * from "./virtio-header.ts"
