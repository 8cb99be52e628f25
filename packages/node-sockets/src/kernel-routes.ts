/**
 * The addresses for which Linux delivers packets to the host itself, from the kernel's tables of routes.
 *
 * The addresses of interfaces would be too few: the kernel delivers by routes of the types "local" and "anycast", which
 * an interface without a carrier, or one that is down, has as well, and which may exist without an interface's address.
 */
import { readFileSync } from "node:fs"
import { Address, AddressRange } from "@demiflow/core"

/** Of this thread's network namespace. */
const FOLDER = "/proc/thread-self/net"

/** RTF_LOCAL and RTF_ANYCAST of `linux/ipv6_route.h`: such a route delivers to the host. */
const LOCAL_OR_ANYCAST = 0x8010_0000

/**
 * Reads the ranges of the host's own addresses. Throws the error of the file system if they can't be read.
 *
 * @param folder with the files `fib_trie` and `ipv6_route`
 */
export function readKernelRanges(folder: string = FOLDER): AddressRange[] {
  const v4 = parseFibTrie(readFileSync(`${folder}/fib_trie`, "utf8"))
  return [...v4, ...parseRoutesV6(readRoutesV6(folder))]
}

/** A kernel without IPv6 has no such file. */
function readRoutesV6(folder: string): string {
  try {
    return readFileSync(`${folder}/ipv6_route`, "utf8")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return ""
    throw error
  }
}

/** An address, `|-- 192.0.2.0`, and below it the routes that begin there: `/24 link UNICAST`, `/32 host LOCAL`. */
export function parseFibTrie(text: string): AddressRange[] {
  const ranges: AddressRange[] = []
  let address: Address | undefined
  for (const line of text.split("\n")) {
    const leaf = /^ *\|-- (\S+)$/.exec(line)
    if (leaf !== null) address = Address.parse(leaf[1])
    const route = /^ *\/(\d+) \S+ (?:LOCAL|ANYCAST)\b/.exec(line)
    if (route !== null && address !== undefined) ranges.push(new AddressRange(address, Number(route[1])))
  }
  return ranges
}

/** A route a line, in hexadecimal digits: destination, its prefix's length, six other columns, flags, interface. */
export function parseRoutesV6(text: string): AddressRange[] {
  const ranges: AddressRange[] = []
  for (const line of text.split("\n")) {
    const route = /^([\da-f]{32}) ([\da-f]{2}) (?:\S+ +){6}([\da-f]{8}) /.exec(line)
    if (route === null) continue
    const [, destination, length, flags] = route
    if ((Number.parseInt(flags, 16) & LOCAL_OR_ANYCAST) === 0) continue
    const address = Address.parse(destination.replace(/.{4}(?=.)/g, "$&:"))
    ranges.push(new AddressRange(address, Number.parseInt(length, 16)))
  }
  return ranges
}
