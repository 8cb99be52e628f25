/**
 * The protocol by which pesto(1) changes the forwarded ports of a running passt or pasta, version 2: messages written
 * and read, without I/O. A UNIX stream socket carries it.
 *
 * @packageDocumentation
 */
export {
  encodeAnswer,
  encodeHello,
  encodeUpdate,
  MOST_RULES,
  PESTO_VERSION,
  type PestoAnswer,
  PestoCapability,
  PestoPlace,
  type PestoTable,
  type PestoUpdate,
} from "./messages.ts"
export { PestoProtocolError, PestoReader } from "./reader.ts"
export type { PestoRule } from "./rule.ts"
