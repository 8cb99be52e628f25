import type { DatagramBatch } from "@demiflow/core"
import { IpOption, Ipv6Option, SocketLevel, UdpOption } from "./constants.ts"
import { CONTROL_HEADER_BYTES } from "./control-message.ts"

/**
 * Reads the control messages of a received datagram into entry `index` of the batch, whose length must already be set:
 * the segment size, where the kernel coalesced several datagrams, and the traffic class.
 *
 * @param control arena offset of the control messages
 * @param controlLength their length in bytes
 */
export function readDatagramNotes(
  view: DataView,
  control: number,
  controlLength: number,
  batch: DatagramBatch,
  index: number,
): void {
  let segmentSize = 0
  let trafficClass = 0
  const end = control + controlLength
  for (let at = control; at + CONTROL_HEADER_BYTES <= end; ) {
    const length = view.getUint32(at, true)
    if (length < CONTROL_HEADER_BYTES || length > end - at) break
    const level = view.getInt32(at + 8, true)
    const type = view.getInt32(at + 12, true)
    const data = at + CONTROL_HEADER_BYTES
    if (level === SocketLevel.ip && type === IpOption.typeOfService) trafficClass = view.getUint8(data)
    else if (level === SocketLevel.ipv6 && type === Ipv6Option.trafficClass) trafficClass = view.getInt32(data, true)
    else if (level === SocketLevel.udp && type === UdpOption.receiveOffload) segmentSize = view.getInt32(data, true)
    at += (length + 7) & -8
  }
  batch.segmentSize[index] = segmentSize < batch.length[index] ? segmentSize : 0
  batch.trafficClass[index] = trafficClass
}
