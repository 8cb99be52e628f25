/**
 * What the C programs of 2026-10-02 said to each other: pasta started with
 * `-t 127.0.0.1/5000-5002:6000-6002 -u 7000 -T none -U none`, and pesto with the options of each row, one after the other.
 */
export interface Exchange {
  /** The options of pesto. */
  readonly options: string
  readonly hello: Uint8Array
  /** Empty if pesto only shows. */
  readonly update: Uint8Array
}

/** Hexadecimal; `8×` stands for eight zero bytes. */
const ROWS: readonly (readonly [options: string, hello: string, update: string])[] = [
  [
    "",
    "626173696c3a730000000002000000800000001001484f5354 127× 3f00000002 10× ffff7f000001 32× " +
      "1388138a177006 49× 1b581b581b5811010353504c494345 125× 3f0000000000",
    "",
  ],
  [
    "-t 5001 -A -t 8080:80",
    "626173696c3a730000000002000000800000001001484f5354 127× 3f00000002 10× ffff7f000001 32× " +
      "1388138a177006 49× 1b581b581b5811010353504c494345 125× 3f0000000000",
    "0100000002 48× 1389138913890601 48× 1f901f9000500601030000000000",
  ],
  [
    "-A -t 192.0.2.1%lo/22 -u 100-200,~150",
    "626173696c3a730000000002000000800000001001484f5354 127× 3f000000000353504c494345 125× " + "3f0000000000",
    "0100000003 10× ffffc0000201 16× 6c6f 15× 160016001606 50× 64009500641101 49× " + "9700c800971101030000000000",
  ],
  [
    "-t all",
    "626173696c3a730000000002000000800000001001484f5354 127× 3f00000003 10× ffffc0000201 16× 6c6f 15× " +
      "160016001606 50× 64009500641101 49× 9700c8009711010353504c494345 125× 3f0000000000",
    "0100000002 49× 017fff00010603 48× ee48ffffee480603030000000000",
  ],
  ["", "626173696c3a730000000002000000800000001001484f5354 127× 3f000000000353504c494345 125× " + "3f0000000000", ""],
]

export const EXCHANGES: readonly Exchange[] = ROWS.map(([options, hello, update]) => ({
  options,
  hello: parse(hello),
  update: parse(update),
}))

function parse(text: string): Uint8Array {
  const digits = text.replace(/(\d+)×/g, (_, count) => "00".repeat(Number(count))).replace(/\s/g, "")
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
