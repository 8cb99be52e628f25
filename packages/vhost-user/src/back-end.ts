/**
 * Front ends, one at a time: joins the socket on which one sends its messages, the device that it configures, the link
 * that frames move by, and the event loop.
 *
 * A front end that breaks the protocol, or whose rings are impossible, loses its connection; the next one may come. When
 * one goes, for whatever reason, everything of it is closed before the owner is notified.
 */
import type { Driven } from "@demiflow/core"
import { EpollEvent, type EventLoop, type Native } from "@demiflow/sys"
import { Device } from "./device.ts"
import { SUPPORTED_FEATURES, SUPPORTED_PROTOCOL_FEATURES } from "./features.ts"
import { GUEST_MEMORY_BYTES } from "./memory.ts"
import { MESSAGE_SOCKET_BYTES, MessageSocket } from "./message-socket.ts"
import { LAYOUTS, MessageBit, REGION_BYTES, Request, TABLE_REGIONS } from "./messages.ts"
import { GUEST_RING_BYTES } from "./ring.ts"
import { Refusal, type VhostUserEnd, Violation } from "./vhost-user-end.ts"
import type { VhostUserLink } from "./vhost-user-link.ts"

/** Most messages handled at once: then other descriptors have their turn. */
const MESSAGES_AT_ONCE = 64

/** Arena bytes that a {@link VhostUserBackEnd} reserves at most. */
export const VHOST_USER_BACK_END_BYTES: number = MESSAGE_SOCKET_BYTES + GUEST_MEMORY_BYTES + 2 * GUEST_RING_BYTES + 64

/** Options of a {@link VhostUserBackEnd}. */
export interface VhostUserBackEndOptions {
  /** Features of the device to offer; those in {@link SUPPORTED_FEATURES} if absent. Others are ignored. */
  readonly features?: bigint
  /** Features of the protocol to offer; those in {@link SUPPORTED_PROTOCOL_FEATURES} if absent. */
  readonly protocolFeatures?: bigint
}

/** Callbacks to the owner. */
export interface VhostUserHooks {
  /** A front end has been attached. Its rings don't run yet. */
  onConnected?(): void
  /**
   * Rings run in both directions: time for `Stack.start`, or from the second time on for `TapSide.reconnected` and
   * `Stack.reconnected`.
   */
  onReady?(): void
  /**
   * Rings have stopped: the guest is paused, or resets its network card, or the front end goes. Until rings run again
   * or the front end is gone, the link is congested.
   */
  onStopped?(): void
  /** Frames wait on the link: pass them to the stack. Called again for as long as some wait. */
  onFrames(): void
  /** The link is no longer congested: time for `Stack.resume`. */
  onResume?(): void
  /** The front end is gone, and everything of it closed: time for `Stack.stop`. See `describeVhostUserEnd`. */
  onGone(end: VhostUserEnd): void
}

/** The front end that is connected to a link, if any. */
export class VhostUserBackEnd implements Driven {
  readonly #native: Native
  readonly #loop: EventLoop
  readonly #link: VhostUserLink
  readonly #hooks: VhostUserHooks
  readonly #socket: MessageSocket
  readonly #device: Device
  readonly #scratch: number
  #wasRunning = false
  #isEnding = false
  /** True if the owner hasn't been notified yet that the link is no longer congested. */
  #owesResume = false
  /** True if the owner has been resumed in a turn: what it sends then leaves with the next one. */
  #hasResumed = false

  /** Reserves {@link VHOST_USER_BACK_END_BYTES} of the link's arena. */
  constructor(
    native: Native,
    loop: EventLoop,
    link: VhostUserLink,
    hooks: VhostUserHooks,
    options: VhostUserBackEndOptions = {},
  ) {
    this.#native = native
    this.#loop = loop
    this.#link = link
    this.#hooks = hooks
    this.#socket = new MessageSocket(native, link.arena)
    this.#scratch = link.arena.reserve(8, 8, "a vhost-user back end")
    const features = (options.features ?? SUPPORTED_FEATURES) & SUPPORTED_FEATURES
    const protocolFeatures = (options.protocolFeatures ?? SUPPORTED_PROTOCOL_FEATURES) & SUPPORTED_PROTOCOL_FEATURES
    this.#device = new Device(native, loop, link, this.#socket, features, protocolFeatures, {
      onFramesFromGuest: () => this.#onFramesFromGuest(),
      onRoomToGuest: () => this.#onRoomToGuest(),
    })
  }

  /** True while a front end is connected. */
  get isConnected(): boolean {
    return this.#socket.descriptor >= 0
  }

  /** True once the front end has hung up: messages that it sent before may still wait. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  /** True while rings run in both directions. */
  get isReady(): boolean {
    return this.#wasRunning
  }

  /**
   * Takes over a connected stream socket. A front end that was attached before is detached. Throws a `SystemError` if
   * there is no descriptor or memory left for another one; the socket is then still the caller's.
   */
  attach(descriptor: number): void {
    this.detach()
    this.#device.open()
    try {
      this.#loop.watchDescriptor(descriptor, EpollEvent.readable, (events) => this.#onEvents(events))
    } catch (error) {
      this.#loop.forget(descriptor)
      this.#device.close()
      throw error
    }
    this.#socket.attach(descriptor)
    this.#loop.attach(this)
    this.#hooks.onConnected?.()
  }

  /** Closes the front end's connection and everything of it, without a callback. */
  detach(): void {
    if (!this.isConnected) return
    this.#loop.detach(this)
    this.#wasRunning = false
    this.#isEnding = false
    this.#device.close()
    this.#link.close()
    const descriptor = this.#socket.detach()
    this.#loop.unwatch(descriptor)
    this.#native.close(descriptor)
  }

  /** See `Driven`. Called by the loop. */
  turn(): void {
    const link = this.#link
    this.#hasResumed = false
    if (link.isRoomWaiting) this.#onRoomToGuest()
    if (link.isFrameWaiting) {
      if (this.#wasRunning) this.#hooks.onFrames()
      else if (this.#device.rings.discards) link.discard()
    }
    const { faultyRing } = link
    if (faultyRing === undefined || !this.isConnected) return
    const ring = faultyRing === "toGuest" ? 0 : 1
    const fault = this.#native.ringFault(this.#device.rings.numberOf(ring))
    this.#device.rings.signalError(ring, this.#scratch)
    this.#leave({ kind: "ring", ring, fault })
  }

  /** See `Driven`. */
  nextDeadline(): number {
    const { isRoomWaiting, isFrameWaiting, faultyRing } = this.#link
    const takesFrames = isFrameWaiting && (this.#wasRunning || this.#device.rings.discards)
    const isBusy = this.#hasResumed || isRoomWaiting || takesFrames || faultyRing !== undefined
    return isBusy ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  }

  #onFramesFromGuest(): void {
    this.#link.framesWait()
    if (this.#wasRunning) this.#hooks.onFrames()
  }

  #onRoomToGuest(): void {
    if (this.#link.isCongested && this.#link.drain()) this.#resume()
  }

  #resume(): void {
    this.#owesResume = true
    if (!this.#wasRunning) return
    this.#owesResume = false
    this.#hasResumed = true
    this.#hooks.onResume?.()
  }

  #onEvents(events: number): void {
    if ((events & EpollEvent.hangUp) !== 0) this.#isEnding = true
    for (let count = 0; count < MESSAGES_AT_ONCE && this.isConnected; count++) {
      const status = this.#socket.read()
      if (status === false) return
      const wasCongested = this.#link.isCongested
      const end = status === true ? this.#handle() : status
      if (end === undefined) {
        this.#notify()
        this.#owesResume ||= wasCongested && !this.#link.isCongested
        if (this.#owesResume) this.#resume()
      } else {
        this.#leave(end)
        return
      }
    }
  }

  /** Handles the message that was read, and answers it. Returns why the front end has to go, if it has. */
  #handle(): VhostUserEnd | undefined {
    const { request, flags } = this.#socket
    const layout = LAYOUTS.get(request)
    const wantsReply = (flags & MessageBit.needsReply) !== 0 && this.#device.repliesWhenAsked
    try {
      this.#checkForm()
      const bytes = this.#device.perform(request)
      if (layout?.hasReply) return this.#socket.reply(bytes)
      return wantsReply ? this.#answer(0n) : undefined
    } catch (error) {
      if (error instanceof Violation) return { kind: "violation", reason: error.message }
      if (!(error instanceof Refusal)) throw error
      if (wantsReply && !layout?.hasReply) return this.#answer(1n)
      return { kind: "refused", reason: error.message }
    } finally {
      this.#socket.closeDescriptors()
    }
  }

  #checkForm(): void {
    const { request, flags, payloadBytes, descriptorCount } = this.#socket
    if ((flags & MessageBit.versionMask) !== MessageBit.version) {
      throw new Violation(`a message of version ${flags & MessageBit.versionMask}`)
    }
    if ((flags & MessageBit.reply) !== 0) throw new Violation("a reply, and nothing was asked")
    const layout = LAYOUTS.get(request)
    if (layout === undefined) return
    const most = request === Request.setMemoryTable ? layout.bytes + TABLE_REGIONS * REGION_BYTES : layout.bytes
    if (payloadBytes < layout.bytes || payloadBytes > most) {
      throw new Violation(`${layout.name} with ${payloadBytes} bytes`)
    }
    if (!layout.takesDescriptors && descriptorCount > 1) {
      throw new Violation(`${layout.name} with ${descriptorCount} descriptors`)
    }
  }

  #answer(value: bigint): VhostUserEnd | undefined {
    this.#link.arena.view.setBigUint64(this.#socket.replyPayload, value, true)
    return this.#socket.reply(8)
  }

  /** Reports what the message has changed. */
  #notify(): void {
    const { isRunning } = this.#device.rings
    const wasRunning = this.#wasRunning
    this.#wasRunning = isRunning
    if (wasRunning === isRunning) return
    this.#link.isPaused = wasRunning
    if (isRunning) this.#hooks.onReady?.()
    else this.#hooks.onStopped?.()
  }

  #leave(end: VhostUserEnd): void {
    const wasRunning = this.#wasRunning
    this.detach()
    if (wasRunning) this.#hooks.onStopped?.()
    this.#hooks.onGone(end)
  }
}
