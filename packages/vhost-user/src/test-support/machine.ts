/** A virtual machine with a front end, joined to the back end under test. */

import { type Arena, Drops, FrameBatch } from "@demiflow/core"
import { EventLoop } from "@demiflow/sys"
import { expect } from "vitest"
import { VHOST_USER_BACK_END_BYTES, VhostUserBackEnd, type VhostUserBackEndOptions } from "../back-end.ts"
import { describeVhostUserEnd, type VhostUserEnd } from "../vhost-user-end.ts"
import { VhostUserLink, type VhostUserLinkOptions, vhostUserLinkArenaBytes } from "../vhost-user-link.ts"
import { arena, FrontEndSocket, native, number64, numbers64, pair32, type Reply, socketPair } from "./front-end.ts"
import { Driver, HIGH, LOW, Memory, MIB, type Region, regionBytes } from "./guest.ts"

export const loop: EventLoop = new EventLoop(native, arena)

const BITS = {
  CSUM: 0,
  GUEST_CSUM: 1,
  MTU: 3,
  GUEST_TSO4: 7,
  GUEST_TSO6: 8,
  GUEST_ECN: 9,
  HOST_TSO4: 11,
  HOST_TSO6: 12,
  HOST_ECN: 13,
  MRG_RXBUF: 15,
  GUEST_ANNOUNCE: 21,
  LOG_ALL: 26,
  INDIRECT_DESC: 28,
  EVENT_IDX: 29,
  PROTOCOL_FEATURES: 30,
  VERSION_1: 32,
  GUEST_USO4: 54,
  GUEST_USO6: 55,
  HOST_USO: 56,
} as const

/** Features by their names in the protocol's documentation and the standard. */
export const F: Readonly<Record<keyof typeof BITS, bigint>> = Object.fromEntries(
  Object.entries(BITS).map(([name, bit]) => [name, 1n << BigInt(bit)]),
) as Record<keyof typeof BITS, bigint>

/** Requests by their numbers in the protocol's documentation. */
export const R = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_LOG_BASE: 6,
  SET_LOG_FD: 7,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SEND_RARP: 19,
  NET_SET_MTU: 20,
  SET_BACKEND_REQ_FD: 21,
  GET_CONFIG: 24,
  GET_INFLIGHT_FD: 31,
  RESET_DEVICE: 34,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
  SET_STATUS: 39,
  GET_STATUS: 40,
} as const

export const NEED_REPLY: number = 1 | 8
/** Protocol features: all that this back end has. */
export const PROTOCOL: bigint =
  (1n << 0n) | (1n << 1n) | (1n << 3n) | (1n << 4n) | (1n << 13n) | (1n << 15n) | (1n << 16n)
/** What most tests agree on. */
export const USUAL: bigint = F.VERSION_1 | F.MRG_RXBUF | F.PROTOCOL_FEATURES

export interface MachineOptions extends VhostUserBackEndOptions, VhostUserLinkOptions {
  readonly entries?: number
  readonly bufferBytes?: number
  /** Arena bytes for others. */
  readonly spare?: number
}

/** All of it. One after the other may use the same link. */
export class Machine {
  readonly drops: Drops = new Drops()
  readonly link: VhostUserLink
  readonly backEnd: VhostUserBackEnd
  readonly memory: Memory = new Memory()
  readonly toGuest: Driver
  readonly fromGuest: Driver
  socket: FrontEndSocket
  /** The back end's socket. */
  ownDescriptor: number
  /** What the owner was notified of. */
  readonly events: string[] = []
  readonly ends: VhostUserEnd[] = []
  /** Frames of the guest. */
  readonly received: Buffer[] = []
  /** What the batch had for each. */
  readonly descriptions: { segmentation: number; segmentSize: number; checksumStart: number; trusted: number }[] = []
  takesFrames = true
  readonly #batch = new FrameBatch(16)
  readonly #part: Arena

  constructor(options: MachineOptions = {}) {
    const { entries = 64, bufferBytes = 2048 } = options
    const linkOptions = { backlogBytes: 256 << 10, receiveBytes: 256 << 10, drops: this.drops, ...options }
    const bytes = vhostUserLinkArenaBytes(linkOptions) + VHOST_USER_BACK_END_BYTES + (options.spare ?? 0)
    this.#part = arena.part((bytes + 63) & -64)
    this.link = new VhostUserLink(native, this.#part, linkOptions)
    const hooks = {
      onConnected: () => this.events.push("connected"),
      onReady: () => this.events.push("ready"),
      onStopped: () => this.events.push("stopped"),
      onResume: () => this.events.push("resume"),
      onFrames: () => this.takesFrames && this.take(),
      onGone: (end: VhostUserEnd) => {
        this.ends.push(end)
        this.events.push("gone")
      },
    }
    this.backEnd = new VhostUserBackEnd(native, loop, this.link, hooks, options)
    this.toGuest = new Driver(this.memory, { rings: 0x1000, buffers: HIGH.address, entries, bufferBytes })
    this.fromGuest = new Driver(this.memory, {
      rings: 0x20000,
      buffers: HIGH.address + MIB,
      entries,
      bufferBytes,
    })
    const [own, others] = socketPair()
    this.socket = new FrontEndSocket(others)
    this.ownDescriptor = own
    this.backEnd.attach(own)
  }

  /** A sentence for the last end. */
  get lastEnd(): string {
    const end = this.ends.at(-1)
    return end === undefined ? "" : describeVhostUserEnd(end)
  }

  /** Receives frames once. */
  take(): number {
    const count = this.link.receive(this.#batch)
    for (let index = 0; index < count; index++) {
      const batch = this.#batch
      const offset = batch.offset[index]
      this.received.push(Buffer.from(arena.bytes.slice(offset, offset + batch.length[index])))
      this.descriptions.push({
        segmentation: batch.segmentation[index],
        segmentSize: batch.segmentSize[index],
        checksumStart: batch.checksumStart[index],
        trusted: batch.checksumTrusted[index],
      })
    }
    return count
  }

  /** Runs the loop. */
  turn(rounds = 4): void {
    for (let round = 0; round < rounds; round++) loop.round(0)
  }

  /** Another front end connects. */
  reconnect(): void {
    const [own, others] = socketPair()
    this.socket = new FrontEndSocket(others)
    this.ownDescriptor = own
    this.backEnd.attach(own)
  }

  /** Sends a message and runs the loop. Returns the reply. */
  ask(request: number, payload?: Uint8Array, descriptors?: readonly number[], flags?: number): Reply | undefined {
    this.socket.send(request, payload, descriptors, flags)
    this.turn(1)
    return this.socket.receive()
  }

  /** The number in a reply to a message. */
  askNumber(request: number, payload?: Uint8Array, descriptors?: readonly number[], flags?: number): bigint {
    const reply = this.ask(request, payload, descriptors, flags)
    if (reply === undefined) throw new Error(`No reply to request ${request}; ${this.lastEnd}`)
    return reply.payload.readBigUInt64LE()
  }

  /** The outcome of a message for which a reply is wanted: 0 is success. */
  outcome(request: number, payload?: Uint8Array, descriptors?: readonly number[]): bigint {
    return this.askNumber(request, payload, descriptors, NEED_REPLY)
  }

  agree(features: bigint = USUAL, protocolFeatures: bigint = PROTOCOL): void {
    this.socket.send(R.SET_OWNER)
    if ((features & F.PROTOCOL_FEATURES) !== 0n) this.socket.send(R.SET_PROTOCOL_FEATURES, number64(protocolFeatures))
    this.socket.send(R.SET_FEATURES, number64(features))
    this.turn(1)
  }

  share(regions: readonly Region[] = [LOW, HIGH]): void {
    const payload = Buffer.concat([pair32(regions.length, 0), ...regions.map(regionBytes)])
    const descriptors = regions.map(() => this.memory.file)
    this.socket.send(R.SET_MEM_TABLE, payload, descriptors)
    this.turn(1)
  }

  /** Describes a ring and starts it. */
  startRing(index: number, base = 0, flags = 0): void {
    const driver = this.driverOf(index)
    this.socket.send(R.SET_VRING_NUM, pair32(index, driver.places.entries))
    this.socket.send(R.SET_VRING_BASE, pair32(index, base))
    this.socket.send(R.SET_VRING_ADDR, this.addresses(index, flags))
    this.socket.send(R.SET_VRING_CALL, number64(index), [driver.call])
    this.socket.send(R.SET_VRING_ERR, number64(index), [driver.error])
    this.socket.send(R.SET_VRING_KICK, number64(index), [driver.kick])
    this.turn(1)
  }

  addresses(index: number, flags = 0): Buffer {
    const { descriptors, used, available } = this.driverOf(index)
    const [a, b, c] = [descriptors, used, available].map((address) => this.memory.userOf(address))
    return Buffer.concat([pair32(index, flags), numbers64(a, b, c, used)])
  }

  driverOf(index: number): Driver {
    return index === 0 ? this.toGuest : this.fromGuest
  }

  enable(index: number, value = 1): void {
    this.socket.send(R.SET_VRING_ENABLE, pair32(index, value))
    this.turn(1)
  }

  /** All that a front end does when the guest's driver is ready. */
  start(features: bigint = USUAL, protocolFeatures?: bigint): void {
    this.agree(features, protocolFeatures)
    this.share()
    for (const driver of [this.toGuest, this.fromGuest]) driver.reset()
    for (const index of [0, 1]) this.startRing(index)
    if ((features & F.PROTOCOL_FEATURES) !== 0n) for (const index of [0, 1]) this.enable(index)
    this.turn(1)
  }

  /** The guest's driver is gone: asks for both bases. */
  stop(order: readonly number[] = [0, 1]): number[] {
    return order.map((index) => this.ask(R.GET_VRING_BASE, pair32(index, 0))?.payload.readUInt32LE(4) ?? -1)
  }

  /** The guest sends frames, with a plain header unless given. */
  sendFromGuest(...frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.fromGuest.offerFrame(Buffer.concat([Buffer.alloc(12), frame]))
    this.fromGuest.notify()
    this.turn()
    this.fromGuest.collect()
  }

  /** The guest offers buffers. */
  offerBuffers(count: number): void {
    for (let index = 0; index < count; index++) this.toGuest.offerBuffer()
  }

  close(): void {
    this.backEnd.detach()
    this.socket.close()
    this.toGuest.close()
    this.fromGuest.close()
    this.memory.close()
    arena.giveBack(this.#part)
  }

  /** Sends frames to the guest: the link takes all. */
  sendToGuest(...frames: readonly Buffer[]): void {
    expect(this.link.send(batchOf(frames), 0, frames.length)).toBe(frames.length)
  }

  /** Returns the frames that the guest has received, without their headers. */
  arrived(): Buffer[] {
    return this.toGuest.collectFrames(true).map((frame) => frame.subarray(12))
  }

  /** Expects a frame each way. */
  expectTraffic(number: number): void {
    this.received.length = 0
    this.sendFromGuest(numberedFrame(number, 100))
    expect(this.received).toEqual([numberedFrame(number, 100)])
    this.offerBuffers(1)
    this.sendToGuest(numberedFrame(number, 200))
    expect(this.arrived()).toEqual([numberedFrame(number, 200)])
  }
}

const region = arena.reserve(2 << 20, 64)

/** A batch of frames to the guest, with headroom. */
export function batchOf(frames: readonly Uint8Array[]): FrameBatch {
  const batch = new FrameBatch(Math.max(1, frames.length))
  let at = region
  for (const [index, frame] of frames.entries()) {
    at += 12
    arena.bytes.set(frame, at)
    batch.setPlain(index, at, frame.length)
    at += frame.length
  }
  batch.count = frames.length
  return batch
}

/** A frame of this length; those of different numbers differ. */
export function numberedFrame(number: number, length: number): Buffer {
  const frame = Buffer.alloc(length)
  for (let index = 0; index < length; index++) frame[index] = (index * 7 + number * 31) & 255
  if (length >= 18) frame.writeUInt32BE(number, 14)
  return frame
}
