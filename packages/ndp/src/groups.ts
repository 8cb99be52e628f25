import { Address } from "@demiflow/core"

/** Every node on the link. */
export const ALL_NODES: Address = Address.parse("ff02::1")

/**
 * Returns the solicited-node group of an address: ff02::1:ff00:0/104 and its last 24 bits (RFC 4291, section 2.7.1).
 */
export function solicitedNode(address: Address): Address {
  return new Address(0xff020000, 0, 1, 0xff000000 | (address.word3 & 0xffffff))
}

/** True for any solicited-node group. */
export function isSolicitedNode(address: Address): boolean {
  return (
    address.word0 >>> 0 === 0xff020000 && address.word1 === 0 && address.word2 === 1 && address.word3 >>> 24 === 0xff
  )
}
