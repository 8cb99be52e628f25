/**
 * `struct virtio_net_hdr` of <linux/virtio_net.h>, which precedes each frame where offloads are in use: of TUN and TAP
 * devices, and of virtual network cards. It is in the machine's byte order, which is that of virtio 1 on all machines
 * that demiflow runs on.
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 1 | flags |
 * | 1 | 1 | segmentation type |
 * | 2 | 2 | length of all headers, where there is a segmentation type |
 * | 4 | 2 | payload bytes of each segment, where there is a segmentation type |
 * | 6 | 2 | start of the checksummed bytes, from the start of the frame |
 * | 8 | 2 | offset of the checksum field, from there |
 * | 10 | 2 | number of buffers, in headers of 12 bytes: written as 0 |
 */
import { type FrameBatch, Segmentation } from "@demiflow/core"

/** The shorter form, and the default of TUN and TAP devices. */
export const VIRTIO_HEADER_BYTES = 10

/** Bits of the flags: the checksum is still to be completed; it has been verified. */
export const VirtioFlag = { needsChecksum: 1, dataValid: 2 } as const

/** Values of the segmentation type. `ecn` is added to a TCP type where a segment carries CWR. */
export const VirtioSegmentation = { none: 0, tcp4: 1, tcp6: 4, udp: 5, ecn: 0x80 } as const

const FLAGS = 0
const SEGMENTATION = 1
const HEADER_LENGTH = 2
const SEGMENT_SIZE = 4
const CHECKSUM_START = 6
const CHECKSUM_OFFSET = 8
const BUFFERS = 10

/** By core's Segmentation. */
const OUTGOING = new Uint8Array(4)
OUTGOING[Segmentation.tcp4] = VirtioSegmentation.tcp4
OUTGOING[Segmentation.tcp6] = VirtioSegmentation.tcp6
OUTGOING[Segmentation.udp] = VirtioSegmentation.udp

/** By the header's segmentation type. */
const INCOMING = new Uint8Array(256)
for (const ecn of [0, VirtioSegmentation.ecn]) {
  INCOMING[VirtioSegmentation.tcp4 | ecn] = Segmentation.tcp4
  INCOMING[VirtioSegmentation.tcp6 | ecn] = Segmentation.tcp6
  INCOMING[VirtioSegmentation.udp | ecn] = Segmentation.udp
}

/** Writes the header for frame `index` of the batch at `offset`, 10 or 12 bytes. */
export function writeVirtioHeader(
  view: DataView,
  offset: number,
  headerBytes: number,
  batch: FrameBatch,
  index: number,
): void {
  const checksumStart = batch.checksumStart[index]
  const segmentation = batch.segmentation[index]
  view.setUint8(offset + FLAGS, checksumStart > 0 ? VirtioFlag.needsChecksum : 0)
  view.setUint8(offset + SEGMENTATION, OUTGOING[segmentation])
  view.setUint16(offset + HEADER_LENGTH, segmentation === Segmentation.none ? 0 : batch.headerLength[index], true)
  view.setUint16(offset + SEGMENT_SIZE, segmentation === Segmentation.none ? 0 : batch.segmentSize[index], true)
  view.setUint16(offset + CHECKSUM_START, checksumStart, true)
  view.setUint16(offset + CHECKSUM_OFFSET, checksumStart > 0 ? batch.checksumOffset[index] : 0, true)
  if (headerBytes > BUFFERS) view.setUint16(offset + BUFFERS, 0, true)
}

/** Reads the header at `offset` into the fields of frame `index`, except offset and length. */
export function readVirtioHeader(view: DataView, offset: number, batch: FrameBatch, index: number): void {
  const flags = view.getUint8(offset + FLAGS)
  const needsChecksum = (flags & VirtioFlag.needsChecksum) !== 0
  batch.segmentation[index] = INCOMING[view.getUint8(offset + SEGMENTATION)]
  batch.headerLength[index] = view.getUint16(offset + HEADER_LENGTH, true)
  batch.segmentSize[index] = view.getUint16(offset + SEGMENT_SIZE, true)
  batch.checksumStart[index] = needsChecksum ? view.getUint16(offset + CHECKSUM_START, true) : 0
  batch.checksumOffset[index] = needsChecksum ? view.getUint16(offset + CHECKSUM_OFFSET, true) : 0
  batch.checksumTrusted[index] = (flags & (VirtioFlag.needsChecksum | VirtioFlag.dataValid)) !== 0 ? 1 : 0
}
