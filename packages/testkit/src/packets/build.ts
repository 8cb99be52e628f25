/**
 * The builders, for `import { build } from "@demiflow/testkit"`.
 *
 * Values only: in the published declarations, a namespace would present types of other files as values. The package
 * exports the types by themselves.
 */
export {
  arp,
  ethernet,
  extensionHeader,
  fragmentHeader,
  ip,
  ipv4,
  ipv6,
  toMac,
} from "./build-network.ts"
export {
  echoRequest,
  icmp,
  icmpv6,
  TCP_FLAG_LETTERS,
  tcp,
  tcpFlagBits,
  udp,
} from "./build-transport.ts"
export { patternPayload, payload } from "./layer.ts"
