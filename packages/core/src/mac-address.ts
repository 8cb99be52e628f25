/** A 48-bit Ethernet address, as two integers that compare and copy without allocating. */
export class MacAddress {
  /** The first two bytes, 0–0xffff. */
  high: number
  /** The last four bytes, as a signed 32-bit integer. */
  low: number

  constructor(high = 0, low = 0) {
    this.high = high & 0xffff
    this.low = low | 0
  }

  /** True for ff:ff:ff:ff:ff:ff. */
  get isBroadcast(): boolean {
    return this.high === 0xffff && this.low === -1
  }

  /** True for group addresses, broadcast included: the lowest bit of the first byte (IEEE 802.3, 3.2.3). */
  get isMulticast(): boolean {
    return (this.high & 0x0100) !== 0
  }

  /** True for 00:00:00:00:00:00. */
  get isZero(): boolean {
    return this.high === 0 && this.low === 0
  }

  equals(other: MacAddress): boolean {
    return this.low === other.low && this.high === other.high
  }

  copyFrom(other: MacAddress): this {
    this.high = other.high
    this.low = other.low
    return this
  }

  /** Reads the six bytes at `offset`; returns itself. */
  read(view: DataView, offset: number): this {
    this.high = view.getUint16(offset)
    this.low = view.getInt32(offset + 2)
    return this
  }

  /** Writes the six bytes at `offset`. */
  write(view: DataView, offset: number): void {
    view.setUint16(offset, this.high)
    view.setInt32(offset + 2, this.low)
  }

  clone(): MacAddress {
    return new MacAddress(this.high, this.low)
  }

  /** Lower-case hexadecimal with colons. */
  toString(): string {
    const digits = this.high.toString(16).padStart(4, "0") + (this.low >>> 0).toString(16).padStart(8, "0")
    return digits.replace(/..(?!$)/g, "$&:")
  }

  /** Parses an address such as `9a:55:9a:55:9a:55`, or with dashes; undefined if the text isn't one. */
  static tryParse(text: string): MacAddress | undefined {
    if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined
    const digits = text.replace(/[:-]/g, "")
    return new MacAddress(Number.parseInt(digits.slice(0, 4), 16), Number.parseInt(digits.slice(4), 16))
  }

  /** Parses an address. Throws `RangeError` if the text isn't one. */
  static parse(text: string): MacAddress {
    const address = MacAddress.tryParse(text)
    if (address === undefined) throw new RangeError(`"${text}" is not an Ethernet address`)
    return address
  }
}
