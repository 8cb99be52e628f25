// Words that names of this project avoid (see the glossary), and the names that are excepted.

const aDirection = "say fromGuest, toGuest, fromHost or toHost"
const anEnd = "say forwarding or correspondent"

/**
 * @typedef {object} AvoidedWord
 * @property {string} word In lower case.
 * @property {string} instead What to do.
 * @property {readonly string[]} [unlessAfter] Words before it that make it unambiguous.
 * @property {readonly string[]} [unlessBefore] Words behind it that make it unambiguous.
 */

/** @type {readonly AvoidedWord[]} */
export const avoidedWords = [
  { word: "inbound", instead: aDirection },
  { word: "outbound", instead: aDirection },
  { word: "tap", instead: aDirection, unlessAfter: ["", "open", "is", "tun"], unlessBefore: ["side", "link"] },
  { word: "src", instead: anEnd },
  { word: "dst", instead: anEnd },
  { word: "local", instead: anEnd, unlessAfter: ["link"], unlessBefore: ["path"] },
  { word: "remote", instead: anEnd },
  { word: "peer", instead: anEnd },
]

/**
 * Names that come from the command line, Linux or the C tool.
 * @type {Readonly<Record<string, string>>}
 */
export const namesAsElsewhere = {
  outboundAddress: "--outbound",
  outboundInterface: "--outbound-if4 and --outbound-if6",
  hasOutboundAddress: "--outbound",
  OutboundOptions: "--outbound and --outbound-if4, --outbound-if6",
  localPortRange: "ip_local_port_range",
  getPeerName: "getpeername(2)",
  PeerCredentials: "SO_PEERCRED",
  readPeerCredentials: "SO_PEERCRED",
  peerCredentials: "SO_PEERCRED",
}

/**
 * Words of prose that take a second reading, and what to write.
 * @type {readonly { pattern: RegExp, instead: string }[]}
 */
export const avoidedProse = [
  { pattern: /\b(?:told|tells?|telling)\b/i, instead: "say report, deliver, name, set or distinguish" },
  { pattern: /\bwhoever\b/i, instead: "name who it is" },
  { pattern: /\bbe had\b/i, instead: "say open, get or exist" },
  { pattern: /\bso many\b/i, instead: "say how many, or that many" },
  { pattern: /\blook(?:s|ed|ing)? (?:at|for|after|into)\b/i, instead: "say read, search, check or poll" },
  { pattern: /(?:^|[.!?] )Who\b/, instead: "begin the sentence with its subject" },
]

/**
 * Phrases of the C tool, Linux or a protocol in which such a word stands.
 * @type {readonly string[]}
 */
export const phrasesAsElsewhere = ["arp who has …? tell …"]

/** Words that no identifier has, exported or not: each has one above that says what is meant. */
export const avoidedInIdentifiers = ["told", "tell", "tells", "telling", "whoever", "much"]
