import { viewOf } from "./layer.ts"

/** TCP options (RFC 9293, section 3.2; RFC 7323; RFC 2018), to build or parsed. */
export interface TcpOptions {
  readonly mss?: number
  /** Shift count, 0–14. */
  readonly windowScale?: number
  readonly sackPermitted?: boolean
  /** Pairs of left and right edge. */
  readonly sack?: readonly (readonly [number, number])[]
  readonly timestamps?: { readonly value: number; readonly echo: number }
}

/** Encodes the options, padded with "no operation" to a multiple of four bytes. */
export function encodeTcpOptions(options: TcpOptions): Uint8Array {
  const bytes: number[] = []
  const put32 = (value: number) => bytes.push(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
  if (options.mss !== undefined) bytes.push(2, 4, options.mss >> 8, options.mss & 255)
  if (options.windowScale !== undefined) bytes.push(3, 3, options.windowScale)
  if (options.sackPermitted) bytes.push(4, 2)
  if (options.timestamps !== undefined) {
    bytes.push(8, 10)
    put32(options.timestamps.value)
    put32(options.timestamps.echo)
  }
  if (options.sack !== undefined) {
    bytes.push(5, 2 + 8 * options.sack.length)
    for (const edge of options.sack.flat()) put32(edge)
  }
  while (bytes.length % 4 !== 0) bytes.push(1)
  return Uint8Array.from(bytes)
}

/** Decodes the options, and lists their problems. Unknown options are skipped. */
export function decodeTcpOptions(bytes: Uint8Array): { options: TcpOptions; problem: string | undefined } {
  const options: { -readonly [Key in keyof TcpOptions]: TcpOptions[Key] } = {}
  const view = viewOf(bytes)
  let position = 0
  while (position < bytes.length && bytes[position] !== 0) {
    if (bytes[position] === 1) {
      position++
      continue
    }
    const length = bytes[position + 1] ?? 0
    if (length < 2 || position + length > bytes.length) {
      return { options, problem: `TCP option ${bytes[position]} has length ${length}` }
    }
    const kind = bytes[position]
    if (kind === 2 && length === 4) options.mss = view.getUint16(position + 2)
    if (kind === 3 && length === 3) options.windowScale = bytes[position + 2]
    if (kind === 4 && length === 2) options.sackPermitted = true
    if (kind === 5) {
      options.sack = Array.from({ length: (length - 2) >> 3 }, (_, index): [number, number] => {
        const edge = position + 2 + 8 * index
        return [view.getUint32(edge), view.getUint32(edge + 4)]
      })
    }
    if (kind === 8 && length === 10) {
      options.timestamps = { value: view.getUint32(position + 2), echo: view.getUint32(position + 6) }
    }
    position += length
  }
  return { options, problem: undefined }
}
