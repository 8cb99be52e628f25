/** Front ends that do anything: with messages, descriptors, rings and memory. Each run is identified by its seed. */
import { closeSync } from "node:fs"
import { SeededRandom } from "@demiflow/testkit"
import { describe, expect, it } from "vitest"
import { CORPUS } from "./test-support/corpus.ts"
import { isClosed, messageOf, number64 } from "./test-support/front-end.ts"
import { HIGH, LOW, openMemory, PLUGGED, regionBytes, signal } from "./test-support/guest.ts"
import { batchOf, F, Machine, numberedFrame, PROTOCOL, USUAL } from "./test-support/machine.ts"

const SEEDS = Array.from({ length: 60 }, (_, index) => index + 1)
const STEPS = 60
const FEATURES = USUAL | F.EVENT_IDX | F.INDIRECT_DESC | F.CSUM | F.GUEST_CSUM | F.GUEST_TSO4 | F.HOST_TSO4

interface Message {
  readonly request: number
  readonly flags: number
  readonly payload: Buffer
  readonly descriptors: string
}

function openDescriptors(): number {
  return Array.from({ length: 300 }, (_, descriptor) => descriptor).filter((descriptor) => !isClosed(descriptor)).length
}

function parse(machine: Machine, conversation: string): Message[] {
  const words: Record<string, Buffer> = {
    protocol: number64(PROTOCOL),
    features: number64(FEATURES),
    low: regionBytes(LOW),
    high: regionBytes(HIGH),
    plugged: regionBytes(PLUGGED),
    addresses0: machine.addresses(0),
    addresses1: machine.addresses(1),
  }
  return conversation.split("\n").map((line) => {
    const [request, flags, payload, descriptors] = line.split(" ")
    const hex = payload.replace(/\{(\w+)\}/g, (_, word: string) => words[word].toString("hex"))
    return {
      request: Number(request),
      flags: Number(flags),
      payload: hex === "-" ? Buffer.alloc(0) : Buffer.from(hex, "hex"),
      descriptors: descriptors === "-" ? "" : descriptors,
    }
  })
}

class Fuzzer {
  readonly machine: Machine = new Machine({ receiveBytes: 70_016 })
  readonly random: SeededRandom
  readonly #file = openMemory(0)
  /** How often something isn't as it has to be: most front ends get far. */
  readonly #wildness: number

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    this.#wildness = this.random.pick([0.005, 0.02, 0.2])
  }

  /** Sends messages of a conversation, most of them as they are, in their order, and does things in between. */
  run(): void {
    const { machine, random } = this
    for (const driver of [machine.toGuest, machine.fromGuest]) driver.reset()
    const messages = parse(machine, random.pick(CORPUS))
    for (let step = 0; step < STEPS && machine.backEnd.isConnected; step++) {
      const message = messages[random.chance(this.#wildness) ? random.below(messages.length) : step % messages.length]
      this.#send(random.chance(this.#wildness) ? this.#mutated(message) : message)
      if (random.chance(0.5)) this.#disturb()
      if (random.chance(this.#wildness)) this.#spoil()
      machine.turn(random.below(3))
      machine.socket.receive()
    }
    machine.turn()
  }

  close(): void {
    this.machine.close()
    closeSync(this.#file)
  }

  #send({ request, flags, payload, descriptors }: Message): void {
    const { machine, random } = this
    const bytes = messageOf(request, payload, flags)
    if (random.chance(this.#wildness / 10)) bytes.writeUInt32LE(random.int32() >>> random.below(32), 8)
    const all = [...descriptors].map((kind) => this.#descriptorOf(kind))
    const at = random.chance(0.2) ? random.below(bytes.length) : 0
    if (at > 0) machine.socket.write(bytes.subarray(0, at), all)
    if (at > 0 && random.chance(0.5)) machine.turn(1)
    machine.socket.write(bytes.subarray(at), at > 0 ? [] : all)
  }

  #descriptorOf(kind: string): number {
    const { toGuest, fromGuest, memory } = this.machine
    const kinds: Record<string, number> = {
      m: memory.file,
      e: toGuest.call,
      f: this.#file,
      "0": toGuest.kick,
      "1": fromGuest.kick,
    }
    return kinds[kind]
  }

  #mutated(message: Message): Message {
    const { random } = this
    const payload = Buffer.from(message.payload)
    for (let count = random.below(4); count > 0 && payload.length > 0; count--) {
      payload[random.below(payload.length)] = random.chance(0.5) ? random.below(3) : random.below(256)
    }
    return {
      request: random.chance(0.2) ? random.below(45) : message.request,
      flags: random.chance(0.9) ? message.flags : random.below(16),
      payload: random.chance(0.9) ? payload : payload.subarray(0, random.below(payload.length + 1)),
      descriptors: random.chance(0.8) ? message.descriptors : "mef01".slice(random.below(5), random.below(6)),
    }
  }

  /** Something of the guest, or of those that send to it. */
  #disturb(): void {
    const { machine, random } = this
    const driver = machine.driverOf(random.below(2))
    switch (random.below(5)) {
      case 0:
        for (let count = random.below(20); count > 0 && driver.free > 0; count--) machine.toGuest.offerBuffer()
        break
      case 1: {
        const frame = numberedFrame(1, random.below(3_000))
        frame[random.below(20)] = random.below(256)
        if (machine.fromGuest.free > 4) machine.fromGuest.offerFrame(frame)
        break
      }
      case 2:
        signal(driver.kick)
        break
      case 3:
        machine.link.send(batchOf([numberedFrame(2, 14 + random.below(3_000))]), 0, 1)
        break
      default:
        machine.turn(1)
    }
  }

  /** Something that the guest's memory has to be safe against. */
  #spoil(): void {
    const { machine, random } = this
    const driver = machine.driverOf(random.below(2))
    switch (random.below(3)) {
      case 0:
        machine.memory.store16(driver.descriptors + 2 * random.below(0x4800), random.below(65_536))
        break
      case 1:
        driver.describe(
          random.below(64),
          random.below(1 << 21),
          random.below(70_000),
          random.below(8),
          random.below(66),
        )
        driver.makeAvailable(random.below(65))
        break
      default:
        if (random.chance(0.3)) machine.memory.truncate(random.below(4 << 20))
    }
  }
}

describe("any front end", () => {
  const before = openDescriptors()

  it.each(SEEDS)("does no harm: seed %i", (seed) => {
    const fuzzer = new Fuzzer(seed)
    const { machine } = fuzzer
    fuzzer.run()
    const { events } = machine
    const states = events.filter((event) => event === "ready" || event === "stopped")
    for (const [index, state] of states.entries()) expect(state).toBe(index % 2 === 0 ? "ready" : "stopped")
    expect(machine.ends.length).toBe(machine.backEnd.isConnected ? 0 : 1)
    if (!machine.backEnd.isConnected) expect(machine.lastEnd).toMatch(/^(?:the front end |the connection |ring )/)

    // The next one finds everything as it has to be.
    machine.backEnd.detach()
    machine.socket.close()
    machine.memory.truncate(4 << 20)
    machine.reconnect()
    machine.start()
    machine.received.length = 0
    machine.sendFromGuest(numberedFrame(7, 100))
    expect(machine.received).toEqual([numberedFrame(7, 100)])
    machine.toGuest.collect()
    machine.offerBuffers(1)
    machine.link.send(batchOf([numberedFrame(8, 100)]), 0, 1)
    expect(machine.toGuest.collectFrames(true).map((frame) => frame.subarray(12))).toEqual([numberedFrame(8, 100)])
    fuzzer.close()
    expect(openDescriptors()).toBe(before)
  })

  it("gets far enough to use its rings", () => {
    let ready = 0
    for (const seed of SEEDS) {
      const fuzzer = new Fuzzer(seed)
      fuzzer.run()
      if (fuzzer.machine.events.includes("ready")) ready += 1
      fuzzer.close()
    }
    expect(ready).toBeGreaterThan(SEEDS.length / 6)
  })
})
