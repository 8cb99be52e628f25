export type { LinkChanges } from "./links.ts"
export * from "./neighbour-watch.ts"
export { addAddress, addRoute, changeLink, readNetwork, replaceRoute } from "./network.ts"
export { NETLINK_ARENA_BYTES, NetlinkSocket } from "./socket.ts"
