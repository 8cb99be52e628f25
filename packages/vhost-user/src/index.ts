/**
 * A vhost-user back end for network devices: Ethernet frames in the memory of a virtual machine.
 *
 * {@link VhostUserLink} is the link, and {@link VhostUserBackEnd} joins it with the socket of a front end (QEMU,
 * Cloud Hypervisor, DPDK) and an event loop: one front end at a time, any number of them one after the other.
 *
 * @packageDocumentation
 */
export * from "./back-end.ts"
export { ProtocolFeature, SUPPORTED_FEATURES, SUPPORTED_PROTOCOL_FEATURES, VhostUserFeature } from "./features.ts"
export { describeVhostUserEnd, type VhostUserEnd } from "./vhost-user-end.ts"
export * from "./vhost-user-link.ts"
