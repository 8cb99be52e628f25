import { Address } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { toBytes, toHex } from "../bytes.ts"
import * as build from "./build.ts"
import * as check from "./check.ts"
import { describePacket } from "./describe.ts"
import { buildPacket, patternBytes, payload } from "./layer.ts"
import { parseFrame, parsePacket } from "./parse.ts"
import { decodeTcpOptions, encodeTcpOptions } from "./tcp-options.ts"

const { expectFrame } = check

describe("building and parsing", () => {
  it("makes the bytes that the RFCs say", () => {
    // These checksums were computed by hand.
    const bytes = buildPacket(
      build.ipv4({ source: "192.0.2.2", target: "198.51.100.7", identification: 0x1234, doNotFragment: true }),
      build.udp({ sourcePort: 40_000, targetPort: 53 }),
      payload("hi"),
    )
    expect(toHex(bytes)).toBe("4500001e1234400040113c5ec0000202c63364079c400035000a0ebe6869")
  })

  it("gets back from a frame what was put into it", () => {
    const frame = parseFrame(
      buildPacket(
        build.ethernet({ source: "02:00:00:00:00:01", target: "02:00:00:00:00:02" }),
        build.ipv6({ source: "2001:db8::1", target: "2001:db8::2", hopLimit: 3, trafficClass: 0xb8, flowLabel: 7 }),
        build.extensionHeader("hopByHop"),
        build.extensionHeader("destinationOptions", { content: new Uint8Array(14) }),
        build.tcp({
          sourcePort: 1,
          targetPort: 2,
          flags: "SA",
          sequence: 0xffffffff,
          acknowledgement: 5,
          window: 9,
          options: { mss: 1_440, windowScale: 7, sackPermitted: true, timestamps: { value: 1, echo: 2 } },
        }),
        payload("body"),
      ),
    )
    expect(frame.problems).toEqual([])
    expect(frame.ethernet?.source.toString()).toBe("02:00:00:00:00:01")
    expect(frame.ip).toMatchObject({ version: 6, protocol: 6, hopLimit: 3, trafficClass: 0xb8, extensions: [0, 60] })
    expect(frame.ip?.target.toString()).toBe("2001:db8::2")
    expect(frame.tcp).toMatchObject({ sourcePort: 1, targetPort: 2, flags: "SA", sequence: 0xffffffff, window: 9 })
    expect(frame.tcp?.options).toEqual({
      mss: 1_440,
      windowScale: 7,
      sackPermitted: true,
      timestamps: { value: 1, echo: 2 },
    })
    expect(frame.payload).toEqual(toBytes("body"))
  })

  it("knows ARP and ICMP, and what an error quotes", () => {
    const arp = parseFrame(
      buildPacket(
        build.ethernet(),
        build.arp({
          operation: "request",
          senderMac: "02:00:00:00:00:01",
          senderAddress: "192.0.2.1",
          targetAddress: "192.0.2.2",
        }),
      ),
    )
    expect(arp.arp).toMatchObject({ operation: 1 })
    expect(arp.arp?.targetAddress.toString()).toBe("192.0.2.2")
    const original = buildPacket(
      build.ip("192.0.2.2", "198.51.100.7"),
      build.udp({ sourcePort: 4, targetPort: 5 }),
      payload("lost"),
    )
    const error = parsePacket(
      buildPacket(build.ip("203.0.113.1", "192.0.2.2"), build.icmp({ type: 11 }), payload(original)),
    )
    expect(error.problems).toEqual([])
    expect(error.icmp?.quote?.udp).toMatchObject({ sourcePort: 4, targetPort: 5 })
  })

  it("recognises fragments, whose transport header is in the first only", () => {
    const datagram = buildPacket(build.udp({ sourcePort: 4, targetPort: 5, checksum: 1 }), payload(patternBytes(32)))
    const fragment = (offset: number, moreFragments: boolean, bytes: Uint8Array) => [
      parsePacket(
        buildPacket(
          build.ipv4({
            source: "192.0.2.2",
            target: "192.0.2.3",
            protocol: 17,
            identification: 7,
            fragmentOffset: offset,
            moreFragments,
          }),
          payload(bytes),
        ),
      ),
      parsePacket(
        buildPacket(
          build.ipv6({ source: "2001:db8::1", target: "2001:db8::2" }),
          build.fragmentHeader({ offset, moreFragments, identification: 7, nextHeader: 17 }),
          payload(bytes),
        ),
      ),
    ]
    for (const first of fragment(0, true, datagram.slice(0, 16))) {
      expect(first.ip).toMatchObject({ moreFragments: true, fragmentOffset: 0, identification: 7, protocol: 17 })
      expect(first.udp).toMatchObject({ sourcePort: 4 })
      expect(first.problems).toEqual([])
    }
    for (const second of fragment(16, false, datagram.slice(16))) {
      expect(second.ip).toMatchObject({ moreFragments: false, fragmentOffset: 16 })
      expect(second.udp).toBeUndefined()
      expect(second.payload).toEqual(datagram.slice(16))
    }
  })

  for (const [name, layers, problem] of [
    ["an IPv4 checksum", [build.ipv4({ source: "192.0.2.2", target: "192.0.2.3", checksum: 1 })], "checksum"],
    ["an IPv4 length", [build.ipv4({ source: "192.0.2.2", target: "192.0.2.3", totalLength: 99 })], "says 99 bytes"],
    ["an IPv6 length", [build.ipv6({ source: "::2", target: "::3", payloadLength: 99 })], "says 139 bytes"],
    [
      "a UDP checksum",
      [build.ip("192.0.2.2", "192.0.2.3"), build.udp({ sourcePort: 1, targetPort: 2, checksum: 7 })],
      "UDP checksum is wrong",
    ],
    [
      "a UDP length",
      [build.ip("192.0.2.2", "192.0.2.3"), build.udp({ sourcePort: 1, targetPort: 2, length: 99 })],
      "UDP header says 99",
    ],
    [
      "no UDP checksum over IPv6",
      [build.ip("::2", "::3"), build.udp({ sourcePort: 1, targetPort: 2, checksum: 0 })],
      "IPv6 forbids",
    ],
    [
      "a TCP header length",
      [build.ip("192.0.2.2", "192.0.2.3"), build.tcp({ sourcePort: 1, targetPort: 2, dataOffset: 4 })],
      "TCP header",
    ],
    [
      "a TCP option's length",
      [
        build.ip("192.0.2.2", "192.0.2.3"),
        build.tcp({ sourcePort: 1, targetPort: 2, options: Uint8Array.of(2, 9, 0, 0) }),
      ],
      "TCP option 2",
    ],
    [
      "an ICMPv6 checksum",
      [build.ip("::2", "::3"), build.icmpv6({ type: 128, checksum: 3 })],
      "ICMP checksum is wrong",
    ],
  ] as const) {
    it(`notices ${name} that is wrong`, () => {
      const frame = parseFrame(buildPacket(build.ethernet(), ...layers))
      expect(frame.problems.join()).toContain(problem)
    })
  }

  it("notices a partial checksum that is wrong, or in the wrong place", () => {
    const whole = buildPacket(
      build.ethernet(),
      build.ip("192.0.2.2", "192.0.2.3"),
      build.udp({ sourcePort: 1, targetPort: 2 }),
    )
    expect(parseFrame(whole).problems).toEqual([])
    expect(parseFrame(whole, { start: 34, offset: 6 }).problems.join()).toContain("sum of the pseudo-header")
    expect(parseFrame(whole, { start: 20, offset: 6 }).problems.join()).toContain("asked to put")
  })

  it("takes any bytes without complaint", () => {
    const good = buildPacket(
      build.ethernet(),
      build.ip("2001:db8::1", "2001:db8::2"),
      build.extensionHeader("routing"),
      build.tcp({ sourcePort: 1, targetPort: 2, options: { mss: 1 } }),
      payload("x"),
    )
    for (let length = 0; length <= good.length; length++) parseFrame(good.slice(0, length))
    for (let index = 0; index < good.length; index++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const bad = good.slice()
        bad[index] = value
        describePacket(parseFrame(bad))
      }
    }
  })

  it("codes TCP options both ways", () => {
    const options = { mss: 536, windowScale: 14, sack: [[1, 0xffffffff]] as const }
    expect(decodeTcpOptions(encodeTcpOptions(options))).toEqual({ options, problem: undefined })
    expect(decodeTcpOptions(Uint8Array.of(1, 99, 3, 0, 0))).toEqual({ options: {}, problem: undefined })
    expect(() =>
      build.tcp({ sourcePort: 1, targetPort: 1, flags: "X" }).build(new Uint8Array(0), [], undefined),
    ).toThrow(RangeError)
  })
})

describe("checks", () => {
  const frame = parseFrame(
    buildPacket(
      build.ethernet({ source: "02:00:00:00:00:01" }),
      build.ip("192.0.2.2", "198.51.100.7"),
      build.tcp({ sourcePort: 40_000, targetPort: 80, flags: "PA", sequence: 10, options: { mss: 1_460 } }),
      payload("GET"),
    ),
  )

  it("pass for a frame that is as it should be", () => {
    expectFrame(
      frame,
      check.ethernet({ source: "02:00:00:00:00:01" }),
      check.ipv4({ source: "192.0.2.2", target: Address.parse("198.51.100.7"), hopLimit: check.atLeast(60) }),
      check.tcp({ sourcePort: 40_000, flags: "A", sequence: (sequence) => sequence < 11 }),
      check.tcp({ flags: "PA" }),
      check.tcpOptions({ mss: 1_460, windowScale: undefined }),
      check.payload("GET"),
      check.payloadLength(3),
    )
  })

  it("say all that is wrong, and show the frame", () => {
    const failing = () =>
      expectFrame(
        frame,
        check.ip({ target: "198.51.100.8", hopLimit: check.atLeast(65) }),
        check.tcp({ flags: "S", targetPort: 81 }),
        check.tcpOptions({ mss: undefined }),
        check.udp(),
        check.payload("POST"),
      )
    expect(failing).toThrow(check.PacketMismatchError)
    expect(failing).toThrow("IP target is 198.51.100.7 and should be 198.51.100.8")
    expect(failing).toThrow("IP hopLimit is 64 and should be at least 65")
    expect(failing).toThrow("TCP flags are PA and should be S")
    expect(failing).toThrow("TCP targetPort is 80 and should be 81")
    expect(failing).toThrow("TCP option mss is there and should not be")
    expect(failing).toThrow("it has no UDP header")
    expect(failing).toThrow("the payload is 474554 and should be 504f5354")
    expect(failing).toThrow("in TCP 192.0.2.2:40000 → 198.51.100.7:80 [PA] seq 10 ack 0 win 65535")
  })

  it("refuse malformed frames unless these are what is wanted", () => {
    const damaged = parseFrame(frame.bytes.map((byte, index) => (index === 50 ? byte ^ 1 : byte)))
    expect(() => expectFrame(damaged, check.tcp())).toThrow("the TCP checksum is wrong")
    expectFrame(damaged, check.tcp(), check.malformed())
    expect(() => expectFrame(undefined)).toThrow("there is no frame")
  })

  it("parse what an error quotes", () => {
    const quoted = buildPacket(build.ip("192.0.2.2", "198.51.100.7"), build.udp({ sourcePort: 4, targetPort: 5 }))
    const error = parseFrame(
      buildPacket(
        build.ethernet(),
        build.ip("203.0.113.1", "192.0.2.2"),
        build.icmp({ type: 3, code: 3 }),
        payload(quoted),
      ),
    )
    expectFrame(error, check.icmp({ type: 3, code: 3 }), check.quote(check.udp({ sourcePort: 4, targetPort: 5 })))
    expect(() => expectFrame(error, check.quote(check.udp({ targetPort: 6 })))).toThrow("in the quoted packet: UDP")
    expect(() => expectFrame(frame, check.quote())).toThrow("it quotes no packet")
    expect(describePacket(error)).toContain("about UDP 192.0.2.2:4 → 198.51.100.7:5")
  })
})
