/** Messages in pieces, of wrong sizes, with wrong descriptors, and of kinds that nobody knows. */
import { closeSync, openSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { isClosed, messageOf, native, number64, pair32 } from "./test-support/front-end.ts"
import { LOW, openEvent, openMemory, regionBytes } from "./test-support/guest.ts"
import { Machine, NEED_REPLY, numberedFrame, PROTOCOL, R, USUAL } from "./test-support/machine.ts"

let machine: Machine
let descriptors: number[]

beforeEach(() => {
  machine = new Machine()
  descriptors = openDescriptors()
})
afterEach(() => {
  machine.close()
  // Whatever a front end sends, all that the back end has received is closed.
  expect(openDescriptors().length).toBeLessThanOrEqual(descriptors.length)
})

function openDescriptors(): number[] {
  return Array.from({ length: 200 }, (_, descriptor) => descriptor).filter((descriptor) => !isClosed(descriptor))
}

function expectViolation(reason: string): void {
  machine.turn()
  expect(machine.lastEnd).toBe(`the front end broke the vhost-user protocol: ${reason}`)
  expect([machine.socket.isAtEnd, machine.backEnd.isConnected]).toEqual([true, false])
}

describe("messages", () => {
  it("may arrive byte by byte", () => {
    const bytes = Buffer.concat([messageOf(R.GET_FEATURES), messageOf(R.SET_PROTOCOL_FEATURES, number64(PROTOCOL))])
    for (const byte of bytes) {
      machine.socket.write(Buffer.from([byte]))
      machine.turn(1)
    }
    expect(machine.socket.receive()).toMatchObject({ request: R.GET_FEATURES, flags: 5 })
    expect(machine.outcome(R.SET_OWNER)).toBe(0n)
  })

  it("may bring their descriptors with any piece", () => {
    machine.agree()
    const payload = Buffer.concat([pair32(1, 0), regionBytes(LOW)])
    const bytes = messageOf(R.SET_MEM_TABLE, payload, NEED_REPLY)
    for (const at of [0, 5, 12, 30]) {
      const { file } = machine.memory
      if (at > 0) machine.socket.write(bytes.subarray(0, at))
      machine.turn(1)
      machine.socket.write(bytes.subarray(at), [file])
      machine.turn(1)
      expect(machine.socket.receive()?.payload).toEqual(number64(0))
    }
  })

  it("may come many at a time, without their descriptors being confused", () => {
    machine.agree()
    machine.share()
    for (const index of [0, 1]) machine.startRing(index)
    for (const index of [0, 1]) machine.enable(index)
    for (const driver of [machine.toGuest, machine.fromGuest]) driver.reset()
    machine.sendFromGuest(numberedFrame(1, 60))
    expect(machine.received).toEqual([numberedFrame(1, 60)])
  })

  it("are answered only if that was agreed on", () => {
    machine.socket.send(R.SET_OWNER, undefined, undefined, NEED_REPLY)
    machine.turn()
    expect(machine.socket.receive()).toBeUndefined()
    machine.agree()
    expect(machine.ask(R.SET_OWNER, undefined, undefined, NEED_REPLY)).toEqual({
      request: R.SET_OWNER,
      flags: 5,
      payload: number64(0),
    })
    expect(machine.ask(R.SET_OWNER)).toBeUndefined()
    // One reply, and its own.
    expect(machine.ask(R.GET_QUEUE_NUM, undefined, undefined, NEED_REPLY)?.payload).toEqual(number64(1))
    expect(machine.socket.receive()).toBeUndefined()
  })

  it.each([0, 2, 3])("of version %i break the protocol", (version) => {
    machine.socket.send(R.GET_FEATURES, undefined, undefined, version)
    expectViolation(`a message of version ${version}`)
  })

  it("that are replies break it", () => {
    machine.socket.send(R.GET_FEATURES, undefined, undefined, 5)
    expectViolation("a reply, and nothing was asked")
  })

  it.each([
    [R.GET_FEATURES, 8, "GET_FEATURES with 8 bytes"],
    [R.SET_FEATURES, 0, "SET_FEATURES with 0 bytes"],
    [R.SET_FEATURES, 9, "SET_FEATURES with 9 bytes"],
    [R.SET_MEM_TABLE, 7, "SET_MEM_TABLE with 7 bytes"],
    [R.SET_MEM_TABLE, 265, "SET_MEM_TABLE with 265 bytes"],
    [R.SET_LOG_BASE, 8, "SET_LOG_BASE with 8 bytes"],
    [R.SET_VRING_NUM, 4, "SET_VRING_NUM with 4 bytes"],
    [R.SET_VRING_ADDR, 39, "SET_VRING_ADDR with 39 bytes"],
    [R.SET_VRING_KICK, 4, "SET_VRING_KICK with 4 bytes"],
    [R.ADD_MEM_REG, 32, "ADD_MEM_REG with 32 bytes"],
    [R.SET_STATUS, 0, "SET_STATUS with 0 bytes"],
    [R.GET_FEATURES, 513, "a message with a payload of 513 bytes"],
  ])("of a wrong size break it: request %i of %i bytes", (request, bytes, reason) => {
    machine.socket.send(request, Buffer.alloc(bytes))
    expectViolation(reason)
  })

  it("of 4 GiB are not waited for", () => {
    const bytes = messageOf(R.SET_FEATURES)
    bytes.writeUInt32LE(0xffffffff, 8)
    machine.socket.write(bytes)
    expectViolation("a message with a payload of 4294967295 bytes")
  })

  it.each([
    [R.SET_VRING_NUM, pair32(2, 64), "ring 2, and there are 2"],
    [R.SET_VRING_NUM, pair32(0, 0), "a ring of 0 entries"],
    [R.SET_VRING_NUM, pair32(0, 100), "a ring of 100 entries"],
    [R.SET_VRING_NUM, pair32(0, 65_536), "a ring of 65536 entries"],
    [R.SET_VRING_BASE, pair32(0, 65_536), "a ring's base of 65536"],
    [R.GET_VRING_BASE, pair32(0xffffffff, 0), "ring 4294967295, and there are 2"],
    [R.SET_VRING_ENABLE, pair32(0, 2), "SET_VRING_ENABLE with 2"],
    [R.SET_VRING_KICK, number64(0x1ff), "ring 255, and there are 2"],
    [R.SET_MEM_TABLE, Buffer.concat([pair32(9, 0), Buffer.alloc(256)]), "a memory table of 9 regions in 264 bytes"],
    [R.SET_MEM_TABLE, Buffer.concat([pair32(2, 0), Buffer.alloc(32)]), "a memory table of 2 regions in 40 bytes"],
  ])("with impossible numbers break it: request %i", (request, payload, reason) => {
    machine.agree()
    machine.socket.send(request, payload)
    expectViolation(reason)
  })

  it.each([R.SEND_RARP, R.SET_BACKEND_REQ_FD, R.GET_CONFIG, R.GET_INFLIGHT_FD, 0, 29, 41, 0xffffffff])(
    "that are not known are refused: request %i",
    (request) => {
      machine.agree()
      const event = openEvent()
      expect(machine.outcome(request, Buffer.alloc(20), [event])).not.toBe(0n)
      expect(machine.backEnd.isConnected).toBe(true)
      machine.socket.send(request)
      machine.turn()
      const what = `request ${request} is not supported`
      expect(machine.lastEnd).toBe(`the front end asked for what can't be done: ${what}`)
      native.close(event)
    },
  )

  it("whose feature isn't offered are refused", () => {
    machine.close()
    machine = new Machine({ protocolFeatures: 8n })
    machine.agree(USUAL, 8n)
    for (const [request, payload] of [
      [R.NET_SET_MTU, number64(1_500)],
      [R.RESET_DEVICE, undefined],
      [R.SET_STATUS, number64(0)],
      [R.ADD_MEM_REG, Buffer.alloc(40)],
      [R.REM_MEM_REG, Buffer.alloc(40)],
    ] as const) {
      expect(machine.outcome(request, payload)).not.toBe(0n)
    }
    machine.socket.send(R.GET_STATUS, undefined, undefined, NEED_REPLY)
    machine.turn()
    // It would wait for a reply of another form.
    expect(machine.lastEnd).toContain("GET_STATUS is not supported")
  })
})

describe("descriptors", () => {
  it.each([
    [R.SET_VRING_KICK, number64(0), 0, "SET_VRING_KICK with 0 descriptors instead of 1"],
    [R.SET_VRING_KICK, number64(0), 2, "SET_VRING_KICK with 2 descriptors instead of 1"],
    [R.SET_VRING_CALL, number64(0x101), 1, "SET_VRING_CALL with 1 descriptors instead of 0"],
    [R.SET_LOG_BASE, Buffer.alloc(16), 0, "SET_LOG_BASE with 0 descriptors instead of 1"],
    [R.ADD_MEM_REG, Buffer.alloc(40), 2, "ADD_MEM_REG with 2 descriptors instead of 1"],
    [
      R.SET_MEM_TABLE,
      Buffer.concat([pair32(2, 0), Buffer.alloc(64)]),
      1,
      "SET_MEM_TABLE with 1 descriptors instead of 2",
    ],
    [R.SET_FEATURES, number64(0), 2, "SET_FEATURES with 2 descriptors"],
    [R.SET_VRING_KICK, number64(0), 9, "more descriptors than any message has"],
    [R.SET_VRING_KICK, number64(0), 253, "more descriptors than any message has"],
  ])("of a wrong number break the protocol: request %i", (request, payload, count, reason) => {
    const event = openEvent()
    machine.socket.send(request, payload, new Array(count).fill(event))
    native.close(event)
    expectViolation(reason)
  })

  it("in every piece of a message are too many soon", () => {
    const event = openEvent()
    const bytes = messageOf(R.SET_FEATURES, number64(0))
    for (const byte of bytes) machine.socket.write(Buffer.from([byte]), [event])
    native.close(event)
    expectViolation("more descriptors than any message has")
  })

  it("that come with a message that takes none are closed", () => {
    machine.agree()
    const before = openDescriptors().length
    const event = openEvent()
    expect(machine.outcome(R.SET_OWNER, undefined, [event])).toBe(0n)
    expect(machine.outcome(R.SET_LOG_FD, undefined, [event])).toBe(0n)
    native.close(event)
    expect(openDescriptors()).toHaveLength(before)
  })

  it("of half a message are closed when the front end goes", () => {
    const event = openEvent()
    machine.socket.write(messageOf(R.SET_VRING_KICK, number64(0)).subarray(0, 15), [event])
    native.close(event)
    machine.turn()
    machine.socket.close()
    machine.turn()
    expect(machine.lastEnd).toBe("the front end closed the connection")
    machine.reconnect()
  })

  it.each([R.SET_VRING_KICK, R.SET_VRING_CALL, R.SET_VRING_ERR])(
    "that are no eventfds are refused: request %i",
    (r) => {
      machine.agree()
      const file = openMemory(4_096)
      const folder = openSync("/", "r")
      for (const descriptor of [file, folder]) expect(machine.outcome(r, number64(0), [descriptor])).not.toBe(0n)
      machine.socket.send(r, number64(1), [file])
      machine.turn()
      expect(machine.lastEnd).toBe(
        "the front end asked for what can't be done: a descriptor for events can't be watched",
      )
      for (const descriptor of [file, folder]) closeSync(descriptor)
    },
  )

  it("that are no memory are refused", () => {
    machine.agree()
    const event = openEvent()
    const folder = openSync("/", "r")
    const table = Buffer.concat([pair32(1, 0), regionBytes(LOW)])
    const single = Buffer.concat([Buffer.alloc(8), regionBytes(LOW)])
    for (const descriptor of [event, folder]) {
      expect(machine.outcome(R.SET_MEM_TABLE, table, [descriptor])).not.toBe(0n)
      expect(machine.outcome(R.ADD_MEM_REG, single, [descriptor])).not.toBe(0n)
    }
    const short = openMemory(4_096)
    expect(machine.outcome(R.SET_MEM_TABLE, table, [short])).not.toBe(0n)
    // The one for which no reply is of use.
    machine.socket.send(R.SET_LOG_BASE, Buffer.alloc(16, 1), [event], NEED_REPLY)
    machine.turn()
    expect(machine.lastEnd).toContain("Could not map its log of written pages")
    native.close(event)
    for (const descriptor of [folder, short]) closeSync(descriptor)
  })
})

describe("a front end that takes no replies", () => {
  it("is gone, and nothing waits for it", () => {
    const question = messageOf(R.GET_FEATURES)
    while (machine.backEnd.isConnected && machine.socket.write(question) > 0) machine.turn(1)
    machine.turn()
    expect(machine.lastEnd).toBe("the front end takes no replies")
  })

  it("is gone when it doesn't read any longer", () => {
    native.shutdown(machine.socket.descriptor, 0)
    machine.socket.write(messageOf(R.GET_FEATURES))
    machine.turn()
    expect(machine.lastEnd).toBe("the connection failed: broken pipe")
  })
})
