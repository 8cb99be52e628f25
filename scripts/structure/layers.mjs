// Which packages may import which: imports point downwards only.
//
//   apps, examples, e2e → everything
//   testkit → tap
//   tap → tun-tap, stream-link → sys
//   tcp, udp, icmp, arp, ndp, dhcp, tap, sys, config → flow → core → nothing

/**
 * @typedef {object} Layer
 * @property {readonly string[]} imports The packages of this repository that its sources may import.
 * @property {boolean} portable Whether it must run anywhere, a browser included: no module of Node.js, no native code.
 *   Such a package is also in tsconfig.portable.json, where its types are checked without those of Node.js.
 */

const foundation = ["core", "flow"]

/** @type {Layer} */
const protocol = { imports: foundation, portable: true }

/** The packages, from the bottom to the top. @type {Readonly<Record<string, Layer>>} */
export const layers = {
  core: { imports: [], portable: true },
  flow: { imports: ["core"], portable: true },
  tcp: protocol,
  udp: protocol,
  icmp: protocol,
  arp: protocol,
  ndp: protocol,
  dhcp: protocol,
  sys: { imports: foundation, portable: false },
  config: { imports: foundation, portable: false },
  "tun-tap": { imports: [...foundation, "sys"], portable: false },
  "stream-link": { imports: [...foundation, "sys"], portable: false },
  program: {
    imports: [...foundation, "sys", "config", "tap", "tcp", "udp", "icmp", "arp", "ndp", "dhcp"],
    portable: false,
  },
  tap: { imports: [...foundation, "tun-tap"], portable: true },
  testkit: { imports: [...foundation, "tap"], portable: true },
}

/** What the tests of a package may import beyond what its sources may. */
export const forTests = {
  /** What belongs to the tests: they themselves, what they are fed with, and what several of them share. */
  files: /\.(?:test|fixture)\.ts$|\/test-support(?:\.ts$|\/)/,
  /** Tests that only drive a package from outside: in the testkit, they drive the protocols. @type {Record<string, readonly string[]>} */
  packages: { testkit: ["tcp", "udp", "icmp", "arp", "ndp", "dhcp"] },
  /** For the tests of any package. */
  everywhere: ["testkit"],
}
