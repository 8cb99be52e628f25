import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Address, AddressRangeSet } from "@demiflow/core"
import { expect, test } from "vitest"
import { parseFibTrie, parseRoutesV6, readKernelRanges } from "./kernel-routes.ts"

/** As Linux 6.1 writes it with rules of routing. */
const FIB_TRIE = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 universe UNICAST tos 0x10
Local:
  +-- 127.0.0.0/8 2 0 2
     +-- 127.0.0.0/31 1 0 0
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 127.255.255.255
        /32 link BROADCAST
  +-- 198.51.100.0/22 3 0 4
     |-- 198.51.100.7
        /32 scope=100 LOCAL tos 0x10
     |-- 198.51.102.0
        /32 link BROADCAST
        /24 host LOCAL
Id 100:
  |-- 203.0.113.9
     /32 host LOCAL
`

const ROUTES_V6 = [
  "20010db8000200000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0",
  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo",
  "00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 80200001       lo",
  "20010db8000100000000000000000000 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 00300001     eth0",
  "20010db8000100000000000000000007 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000004 00000000 80200001     eth0",
  "20010db8000300000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 80000001       lo",
  "",
].join("\n")

/** Interfaces that are down or without a carrier, a network by a route, and anycast addresses of a router. */
const SETUP = [
  "ip link add one0 type veth peer name one1",
  "ip link add two0 type veth peer name two1",
  "ip link set lo up",
  "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
  "ip addr add 192.0.2.2/24 dev one0",
  "ip addr add 2001:db8:1::2/64 dev one0 nodad",
  "ip addr add 198.51.100.2/24 dev two0",
  "ip addr add 2001:db8:2::2/64 dev two0 nodad",
  "ip link set two0 up",
  "ip route add local 203.0.113.0/24 dev lo",
  "ip route add local 2001:db8:5::/64 dev lo",
].join(" && ")

const missing = process.getuid?.() === 0 || process.env.CI ? "" : " (skipped: needs root)"

test("a trie has the addresses and networks that are local, in any table", () => {
  expect(parseFibTrie(FIB_TRIE).join()).toBe("127.0.0.0/8,127.0.0.1/32,198.51.100.7/32,198.51.102.0/24,203.0.113.9/32")
})

test("routes of IPv6 have those that are local, and anycast addresses", () => {
  expect(parseRoutesV6(ROUTES_V6).join()).toBe("::1/128,2001:db8:1::/128,2001:db8:1::7/128,2001:db8:3::/64")
})

test("a kernel without IPv6 has addresses of IPv4, and one that hides its routes is an error", () => {
  const folder = mkdtempSync(join(tmpdir(), "kernel-routes-"))
  expect(() => readKernelRanges(folder)).toThrow(expect.objectContaining({ code: "ENOENT" }))
  writeFileSync(join(folder, "fib_trie"), FIB_TRIE)
  expect(readKernelRanges(folder)).toHaveLength(5)
  rmSync(folder, { recursive: true })
})

test.skipIf(missing)(`interfaces that are down or without a carrier are the host's${missing}`, async () => {
  const namespace = spawn("unshare", ["--net", "sh", "-c", `${SETUP} && echo ready && exec cat`], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  const [first] = await Promise.race([once(namespace.stdout, "data"), once(namespace, "exit")])
  expect(`${first}`).toBe("ready\n")
  const own = new AddressRangeSet(readKernelRanges(`/proc/${namespace.pid}/net`))
  const isOwn = (text: string) => [text, own.contains(Address.parse(text))]
  for (const address of [
    ...["192.0.2.2", "198.51.100.2", "203.0.113.77", "127.9.9.9"],
    ...["2001:db8:1::2", "2001:db8:2::2", "2001:db8:5::77", "2001:db8:1::", "2001:db8:2::", "::1"],
  ]) {
    expect(isOwn(address)).toEqual([address, true])
  }
  for (const address of ["192.0.2.3", "198.51.100.1", "203.0.114.1", "2001:db8:1::3", "2001:db8:6::1"]) {
    expect(isOwn(address)).toEqual([address, false])
  }
  namespace.stdin.end()
  await once(namespace, "exit")
})
