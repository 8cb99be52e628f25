// Which packages may import which: imports point downwards only.
//
//   apps, examples, e2e → everything
//   program, gateway → everything below except testkit, tun-tap, stream-link, vhost-user and packet-link
//   testkit → stack → tap
//   tun-tap, stream-link, vhost-user → sys
//   packet-link → core
//   pesto-protocol → flow
//   tcp, udp, icmp, arp, ndp, dhcp, tap → protocol-kit → core
//   tcp, udp, icmp, arp, ndp, dhcp, tap, sys, config → flow → core → nothing
//   node-sockets, web-sockets → sockets-kit → core

/**
 * @typedef {object} Layer
 * @property {readonly string[]} imports The packages of this repository that its sources may import.
 * @property {boolean} portable True if it must run anywhere, a browser included: no module of Node.js, no native code.
 *   Such a package is also in tsconfig.portable.json, where its types are checked without those of Node.js.
 */

const foundation = ["core", "flow"]

/** @type {Layer} */
const protocol = { imports: [...foundation, "protocol-kit"], portable: true }

/** Assembles whole stacks for Linux. @type {Layer} */
const assembly = {
  imports: [...protocol.imports, "sys", "config", "tap", "stack", "tcp", "udp", "icmp", "arp", "ndp", "dhcp"],
  portable: false,
}

/** The packages, from the bottom to the top. @type {Readonly<Record<string, Layer>>} */
export const layers = {
  core: { imports: [], portable: true },
  flow: { imports: ["core"], portable: true },
  "protocol-kit": { imports: ["core"], portable: true },
  tcp: protocol,
  udp: protocol,
  icmp: protocol,
  arp: protocol,
  ndp: protocol,
  dhcp: protocol,
  sys: { imports: foundation, portable: false },
  "sockets-kit": { imports: ["core"], portable: true },
  "node-sockets": { imports: ["core", "sockets-kit"], portable: false },
  "web-sockets": { imports: ["core", "sockets-kit"], portable: true },
  config: { imports: foundation, portable: false },
  "pesto-protocol": { imports: foundation, portable: true },
  "tun-tap": { imports: [...foundation, "sys"], portable: false },
  "stream-link": { imports: [...foundation, "sys"], portable: false },
  "vhost-user": { imports: [...foundation, "sys"], portable: false },
  program: { ...assembly, imports: [...assembly.imports, "pesto-protocol"] },
  gateway: { ...assembly, imports: [...assembly.imports, "node-sockets"] },
  tap: protocol,
  "packet-link": { imports: ["core"], portable: true },
  stack: { imports: [...foundation, "tap"], portable: true },
  testkit: { imports: [...foundation, "tap", "stack"], portable: true },
}

/** Imports that the tests of a package may use in addition to its sources'. */
export const forTests = {
  /** Files that belong to the tests: tests, fixtures, and shared helpers. */
  files: /\.(?:test|fixture)\.ts$|\/test-support(?:\.ts$|\/)/,
  /**
   * Tests that only drive a package from outside: in the testkit, they drive the protocols; those of `Sockets`
   * drive a whole stack.
   * @type {Record<string, readonly string[]>}
   */
  packages: {
    testkit: ["protocol-kit", "tcp", "udp", "icmp", "arp", "ndp", "dhcp"],
    "node-sockets": ["flow", "tap", "tcp", "udp"],
  },
  /** For the tests of the packages that the testkit isn't built from: building them would be a circle. */
  withTestkit: ["testkit", "stack"],
}

/**
 * Folders whose sources import nothing from outside the folder: what they decide depends on no arena, socket or
 * component, and neither do their tests, which may import the modules listed.
 * @type {Readonly<Record<string, { readonly tests: readonly string[] }>>}
 */
export const pureFolders = {
  "packages/tcp/src/connection": { tests: ["vitest", "fast-check"] },
}

/**
 * The packages that a package is built from, itself included.
 * @param {string} name
 * @returns {string[]}
 */
export function builtFrom(name) {
  const imports = layers[name]?.imports ?? []
  return [name, ...new Set(imports.flatMap(builtFrom))]
}
