import {
  Address,
  DatagramBatch,
  Demiflow,
  Interface,
  type ListenerRef,
  type SideRef,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { describe, expect, it, vi } from "vitest"
import { AddressFamily, IpOption, Ipv6Option, MessageFlag, SocketLevel, SocketType } from "./constants.ts"
import { findControlMessage } from "./control-message.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import { MessageTable } from "./message-table.ts"
import { SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.ts"
import { arena, Events, missing, native, openPingNamespace } from "./test-support.ts"

const events = new Events()
const LISTENER = 3 as ListenerRef
const SIDE = 8 as SideRef
const region = arena.reserve(4_096, 64)
const name = arena.reserve(SOCKET_ADDRESS_BYTES, 8)
const batch = new DatagramBatch(8)
const table = new MessageTable(arena, 1)

/** Joins a group, on the interface with index 7. */
function join(descriptor: number, group: Address): void {
  const { view } = arena
  if (group.isV4) {
    // struct ip_mreqn
    group.writeV4(view, region)
    view.setInt32(region + 4, 0)
    view.setInt32(region + 8, 7, true)
  } else {
    // struct ipv6_mreq
    group.writeV6(view, region)
    view.setInt32(region + 16, 7, true)
  }
  const [level, option, length] = group.isV4 ? [SocketLevel.ip, 35, 12] : [SocketLevel.ipv6, 20, 20]
  expect(native.setOption(descriptor, level, option, region, length)).toBe(0)
}

/** Receives a waiting datagram on a socket that reports hop limit and class. Returns both. */
function receiveMarks(descriptor: number, isV4: boolean): number[] {
  table.setData(0, region, 100)
  table.setControl(0, region + 128, 128)
  expect(native.receiveMessages(descriptor, table.offset, 1, MessageFlag.doNotWait)).toBe(1)
  const kinds = isV4 ? [IpOption.timeToLive, IpOption.typeOfService] : [Ipv6Option.hopLimit, Ipv6Option.trafficClass]
  return kinds.map((kind) => {
    const level = isV4 ? SocketLevel.ip : SocketLevel.ipv6
    const at = findControlMessage(arena.view, region + 128, table.controlLength(0), level, kind)
    return arena.view.getUint8(at)
  })
}

describe.each([
  ["a listener at any address", undefined],
  ["a listener at one address", "own"],
  ["a port of the guest's", "bound"],
])("what leaves by %s", (_, kind) => {
  for (const [isV4, own, group] of [
    [true, "192.0.2.1", "224.0.0.251"],
    [false, "fe80::1", "ff02::fb"],
  ] as const) {
    it.skipIf(missing !== "")(
      `has the marks of the call, to a node and to a group: IPv${isV4 ? 4 : 6}${missing}`,
      async () => {
        const commands = [
          "ip link add cable0 index 7 type veth peer cable1",
          "ip link set cable0 up",
          "ip link set cable1 up",
          "ip address add fe80::1/64 dev cable0 nodad",
          "ip address add 192.0.2.1/24 dev cable0",
          "ip route add 224.0.0.0/4 dev cable0",
        ]
        const namespace = await openPingNamespace(commands.join(" && "))
        const inside = new LinuxSockets(native, arena, events.loop, { sockets: namespace.sockets, linkLocalScope: 7 })
        const family = isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6
        const receiver = native.socketInNamespace(namespace.descriptor, family, SocketType.datagram, 0)
        const any = isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6
        expect(native.bind(receiver, name, writeSocketAddress(arena.view, name, any, 5_001))).toBe(0)
        join(receiver, Address.parse(group))
        const asked = isV4
          ? [IpOption.receiveTimeToLive, IpOption.receiveTypeOfService]
          : [Ipv6Option.receiveHopLimit, Ipv6Option.receiveTrafficClass]
        for (const option of asked) {
          native.setOptionInteger(receiver, isV4 ? SocketLevel.ip : SocketLevel.ipv6, option, 1)
        }
        const to = new Demiflow(Interface.host)
        to.correspondentPort = 5_001
        to.correspondentAddress.copyFrom(Address.parse(own))
        to.forwardingAddress.copyFrom(any)
        to.forwardingPort = 5_000
        const address = kind === "own" ? Address.parse(own) : undefined
        const end = { address, port: 5_000, interfaceName: undefined, freebind: false }
        const socket = kind === "bound" ? inside.udpBind(SIDE, to) : inside.udpListen(LISTENER, end)
        expect(socket).toBeGreaterThanOrEqual(0)
        for (const correspondent of [own, group]) {
          to.correspondentAddress.copyFrom(Address.parse(correspondent))
          for (const [marks, segmentSize, expected] of [
            [0, 0, [correspondent === own ? 64 : 1, 0]],
            [0xb8ff, 0, [255, 0xb8]],
            [0x0309, 4, [9, 3]],
            [0, 4, [correspondent === own ? 64 : 1, 0]],
          ] as const) {
            batch.marks = marks
            batch.offset[0] = region + 512
            batch.length[0] = 8
            batch.segmentSize[0] = segmentSize
            // On a busy machine datagrams occasionally don't arrive, for one call either all or none: the host then
            // sends again.
            const got = await vi.waitFor(async () => {
              expect(inside.sendDatagramsTo(socket, to, 0, batch, 0, 1)).toBe(1)
              const marks: number[][] = []
              for (let left = segmentSize > 0 ? 2 : 1; left > 0; left--) {
                marks.push(await vi.waitFor(() => receiveMarks(receiver, isV4), { timeout: 2_000, interval: 1 }))
              }
              return marks
            }, 60_000)
            for (const each of got) expect(each).toEqual(expected)
          }
        }
        batch.marks = 0
        inside.close(socket)
        native.close(receiver)
        namespace.close()
      },
    )
  }
})
