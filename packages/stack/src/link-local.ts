import { Address, type MacAddress } from "@demiflow/core"

/** Returns the link-local address with the interface identifier of an Ethernet address (RFC 4291, appendix A). */
export function linkLocalOf(mac: MacAddress): Address {
  const high = (mac.high ^ 0x0200) << 16
  const upper = high | ((mac.low >>> 24) << 8) | 0xff
  return new Address(0xfe800000, 0, upper, 0xfe000000 | (mac.low & 0xffffff))
}
