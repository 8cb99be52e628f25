/** The character device /dev/net/tun: creates a network device, and is its other end. */
import { Arena } from "@demiflow/core"
import {
  attachArena,
  attachedArena,
  type Native,
  type NetworkNamespace,
  OpenFlag,
  VIRTIO_HEADER_BYTES,
  VisitedNamespace,
} from "@demiflow/sys"
import { creationFlags } from "./creation-flags.ts"
import type { DeviceParts } from "./device-parts.ts"
import { createError, openError, systemError, TunTapError } from "./errors.ts"
import { FrameStream } from "./frame-stream.ts"

const PATH = "/dev/net/tun"
const NAME_BYTES = 16
/** Offset of the flags in `struct ifreq`, after the name. */
const FLAGS_OFFSET = NAME_BYTES
const REQUEST_BYTES = 40

// <linux/if_tun.h>
const TUNSETPERSIST = 0x400454cb
const TUNSETIFF = 0x400454ca
const TUNSETOFFLOAD = 0x400454d0
const TUNSETVNETHDRSZ = 0x400454d8

/** Work that the kernel may leave to us, and we to the kernel; bits of TUNSETOFFLOAD. */
export const Offload = {
  /** Checksums of TCP and UDP. Required by all others. */
  checksum: 0x01,
  /** Segmentation of TCP over IPv4, and IPv6. */
  tcp4: 0x02,
  tcp6: 0x04,
  /** TCP to be segmented may carry ECN's CWR. */
  tcpEcn: 0x08,
  /** Segmentation of UDP over IPv4, and IPv6 (Linux 6.2). */
  udp4: 0x20,
  udp6: 0x40,
} as const

const TCP_OFFLOADS = Offload.checksum | Offload.tcp4 | Offload.tcp6
const UDP_OFFLOADS = Offload.udp4 | Offload.udp6

/** From all to none: the kernel accepts or refuses a combination as a whole. */
const OFFLOAD_STEPS = [
  TCP_OFFLOADS | Offload.tcpEcn | UDP_OFFLOADS,
  TCP_OFFLOADS | UDP_OFFLOADS,
  TCP_OFFLOADS | Offload.tcpEcn,
  TCP_OFFLOADS,
  Offload.checksum,
  0,
]

/** Options for opening a device. */
export interface DeviceOptions {
  /** Up to 15 bytes; "%d" in it is replaced with the first free number. If absent, the kernel chooses. */
  readonly name?: string
  /** The network namespace to create the device in; if absent, this process's own. */
  readonly namespace?: NetworkNamespace
  /**
   * True to exchange frames with partial checksums and unsegmented payload, to the extent that the kernel supports it.
   * For use in batches only. Otherwise, frames are as they are on the wire.
   */
  readonly offloads?: boolean
  /** Bytes of the virtio header with offloads in use: 10, the default, or 12. */
  readonly virtioHeaderBytes?: 10 | 12
  /** True to refuse a device that exists already (a persistent one). */
  readonly exclusive?: boolean
  /** Arena for the frames; if absent, the one in use on this thread, or a new one. */
  readonly arena?: Arena
}

/**
 * An open device: the kernel's network interface is one end of it, this descriptor the other.
 *
 * For simple uses, iterate over it (`for await (const frame of device)`) and {@link TunTapDevice.write} to it. For many
 * frames a second, use a `FrameIo`, or in a demiflow stack a `TapLink`. A device can't be used both ways.
 */
export class TunTapDevice implements AsyncIterable<Uint8Array>, DeviceParts {
  readonly native: Native
  readonly arena: Arena
  /** Name of the network interface. */
  readonly name: string
  readonly descriptor: number
  /** True for TAP (Ethernet frames), false for TUN (IP packets). */
  readonly isTap: boolean
  /** Bytes of the virtio header before each frame, or 0. */
  readonly virtioHeaderBytes: number
  /** Bits of {@link Offload} that are in use. */
  readonly offloads: number
  #isOpen = true
  #stream: FrameStream | undefined

  /** Use `openTap` or `openTun`. */
  constructor(parts: DeviceParts) {
    this.native = parts.native
    this.arena = parts.arena
    this.name = parts.name
    this.descriptor = parts.descriptor
    this.isTap = parts.isTap
    this.virtioHeaderBytes = parts.virtioHeaderBytes
    this.offloads = parts.offloads
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Sets whether the network interface stays when this end is closed. By default it is deleted then. */
  setPersistent(persistent: boolean): void {
    const result = this.native.ioctlValue(this.descriptor, TUNSETPERSIST, persistent ? 1 : 0)
    if (result < 0) throw systemError(`make the device "${this.name}" persistent`, result)
  }

  /**
   * Reads the next frame (of a TUN device, packet), as it is on the wire, without frame check sequence; undefined once
   * the device is closed or gone. Keeps the process alive while it waits.
   */
  read(): Promise<Uint8Array | undefined> {
    return this.#simple().read()
  }

  /**
   * Writes a frame (of a TUN device, packet), which the kernel receives by the network interface. Returns false if the
   * kernel had no room and the frame is lost. Throws {@link TunTapError} when the kernel refuses the frame: the
   * interface is down, or the frame is too short.
   */
  write(frame: Uint8Array): boolean {
    return this.#simple().write(frame)
  }

  /** The frames received, until the device is closed or gone. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const frame = await this.read()
      if (frame === undefined) return
      yield frame
    }
  }

  /** Closes this end; the network interface is deleted unless it is persistent. Later calls do nothing. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#stream?.close()
    this.native.close(this.descriptor)
  }

  #simple(): FrameStream {
    if (!this.#isOpen) throw new TunTapError("ERR_TUN_TAP_MISUSE", `The device "${this.name}" has been closed`)
    if (this.virtioHeaderBytes > 0) {
      throw new TunTapError(
        "ERR_TUN_TAP_MISUSE",
        `The device "${this.name}" uses offloads: read and write it in batches, or open it without`,
      )
    }
    this.#stream ??= new FrameStream(this)
    return this.#stream
  }
}

/** Creates or opens a TAP device, for Ethernet frames. Throws {@link TunTapError}; see its codes. */
export function openTap(options?: DeviceOptions): TunTapDevice {
  return openDevice(true, options)
}

/** Creates or opens a TUN device, for IP packets. Throws {@link TunTapError}; see its codes. */
export function openTun(options?: DeviceOptions): TunTapDevice {
  return openDevice(false, options)
}

function openDevice(isTap: boolean, options: DeviceOptions = {}): TunTapDevice {
  const name = options.name ?? ""
  const encodedName = encodeName(name)
  const arena = options.arena ?? attachedArena() ?? new Arena(OWN_ARENA_BYTES)
  const native = attachArena(arena)
  const namespace = options.namespace ?? new VisitedNamespace(native, arena)
  const descriptor = namespace.open(PATH, OpenFlag.readWrite | OpenFlag.nonBlocking)
  if (descriptor < 0) throw openError(descriptor)
  try {
    const request = requestSpace(arena)
    const kind = { isTap, offloads: options.offloads ?? false, exclusive: options.exclusive ?? false }
    const flags = creationFlags(native, arena, descriptor, request, kind)
    arena.bytes.fill(0, request, request + REQUEST_BYTES)
    arena.bytes.set(encodedName, request)
    arena.view.setUint16(request + FLAGS_OFFSET, flags, true)
    const result = namespace.ioctl(descriptor, TUNSETIFF, request, REQUEST_BYTES)
    if (result < 0) throw createError(name, result)
    const given = decodeName(arena.bytes.subarray(request, request + NAME_BYTES))
    const virtioHeaderBytes = options.offloads ? (options.virtioHeaderBytes ?? VIRTIO_HEADER_BYTES) : 0
    if (virtioHeaderBytes > 0) setHeaderSize(native, arena, descriptor, virtioHeaderBytes)
    const offloads = options.offloads ? negotiateOffloads(native, descriptor) : 0
    return new TunTapDevice({ native, arena, name: given, descriptor, isTap, virtioHeaderBytes, offloads })
  } catch (error) {
    native.close(descriptor)
    throw error
  }
}

/** Size of an arena created here: enough for the frames of a device used without batches, and more. */
const OWN_ARENA_BYTES = 8 << 20

const requests = new WeakMap<Arena, number>()

/** Space for a request, one for each arena: what is reserved in an arena is never given back. */
function requestSpace(arena: Arena): number {
  const known = requests.get(arena)
  if (known !== undefined) return known
  const offset = arena.reserve(REQUEST_BYTES, 8, "a tap device")
  requests.set(arena, offset)
  return offset
}

function setHeaderSize(native: Native, arena: Arena, descriptor: number, bytes: number): void {
  const request = requestSpace(arena)
  arena.view.setInt32(request, bytes, true)
  const result = native.ioctl(descriptor, TUNSETVNETHDRSZ, request)
  if (result < 0) throw systemError("set the size of the virtio header", result)
}

function negotiateOffloads(native: Native, descriptor: number): number {
  return OFFLOAD_STEPS.find((bits) => native.ioctlValue(descriptor, TUNSETOFFLOAD, bits) === 0) ?? 0
}

function encodeName(name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name)
  // Names that the kernel's dev_valid_name() refuses, and those that would be changed on the way.
  if (bytes.length >= NAME_BYTES || /[/:\s\0]/.test(name) || name === "." || name === "..") {
    throw new TunTapError(
      "ERR_TUN_TAP_NAME_INVALID",
      `"${name}" can't be the name of an interface: use up to 15 bytes without "/", ":" and white space`,
    )
  }
  return bytes
}

function decodeName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? bytes.length : end))
}
