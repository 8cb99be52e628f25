/**
 * The packets of the wisp protocol, version 1.2: a type, the number of a stream, and what the type has. Numbers are
 * little-endian. One packet is one binary message of a WebSocket.
 */
import type { Arena, Vectors } from "@demiflow/core"
import { copyVectors } from "@demiflow/sockets-kit"

export const WispType = { connect: 1, data: 2, continue: 3, close: 4 } as const

export const StreamType = { tcp: 1, udp: 2 } as const

export const CloseReason = {
  voluntary: 0x02,
  networkError: 0x03,
  invalid: 0x41,
  unreachable: 0x42,
  connectTimedOut: 0x43,
  refused: 0x44,
  transferTimedOut: 0x47,
  blocked: 0x48,
  throttled: 0x49,
} as const

export const HEADER_LENGTH = 5
/** Bytes of payload in a packet that we send. */
export const LARGEST_PAYLOAD: number = 64 << 10

const encoder = new TextEncoder()

declare class TextEncoder {
  encode(text: string): Uint8Array
}

function packet(type: number, stream: number, payloadLength: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_LENGTH + payloadLength)
  bytes[0] = type
  putUint32(bytes, 1, stream)
  return bytes
}

export function connectPacket(stream: number, streamType: number, host: string, port: number): Uint8Array {
  const name = encoder.encode(host)
  const bytes = packet(WispType.connect, stream, 3 + name.length)
  bytes[5] = streamType
  bytes[6] = port & 0xff
  bytes[7] = port >> 8
  bytes.set(name, 8)
  return bytes
}

/** A packet for payload, to be filled in behind the header. */
export function dataPacket(stream: number, length: number): Uint8Array {
  return packet(WispType.data, stream, length)
}

/** A packet with the first `length` bytes that vectors name. */
export function dataPacketOf(
  stream: number,
  arena: Arena,
  vectors: Vectors,
  first: number,
  length: number,
): Uint8Array {
  const bytes = dataPacket(stream, length)
  copyVectors(arena, vectors, first, length, bytes, HEADER_LENGTH)
  return bytes
}

export function continuePacket(stream: number, packets: number): Uint8Array {
  const bytes = packet(WispType.continue, stream, 4)
  putUint32(bytes, HEADER_LENGTH, packets)
  return bytes
}

export function closePacket(stream: number, reason: number): Uint8Array {
  const bytes = packet(WispType.close, stream, 1)
  bytes[HEADER_LENGTH] = reason
  return bytes
}

export function getUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
}

function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff
  bytes[at + 1] = (value >>> 8) & 0xff
  bytes[at + 2] = (value >>> 16) & 0xff
  bytes[at + 3] = value >>> 24
}
