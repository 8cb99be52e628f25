/**
 * Encodes a configuration as text, and decodes it: the process that the user starts sends its configuration to the data
 * path. The format is JSON, with addresses wrapped so that they are decoded as their classes.
 */
import { Address, MacAddress } from "@demiflow/core"
import type { Configuration } from "./configuration.ts"

const FORMAT = "demiflow-configuration-1"

/** The configuration as one line of text. */
export function encodeConfiguration(configuration: Configuration): string {
  return JSON.stringify({ format: FORMAT, configuration }, (_key, value: unknown) => {
    if (value instanceof Address) return { address: value.toString() }
    if (value instanceof MacAddress) return { mac: value.toString() }
    return value
  })
}

/**
 * The configuration that {@link encodeConfiguration} wrote. Throws {@link ConfigurationFormatError} for any other text.
 */
export function decodeConfiguration(text: string): Configuration {
  let decoded: unknown
  try {
    decoded = JSON.parse(text, (_key, value: unknown) => revive(value))
  } catch (cause) {
    throw new ConfigurationFormatError({ cause })
  }
  if (!isEnvelope(decoded)) throw new ConfigurationFormatError()
  return decoded.configuration
}

/** The text is not a configuration of this version. */
export class ConfigurationFormatError extends Error {
  readonly code = "ERR_CONFIGURATION_FORMAT"

  constructor(options?: ErrorOptions) {
    super("This is no encoded configuration of this version: both processes must run the same release", options)
    this.name = "ConfigurationFormatError"
  }
}

function isEnvelope(value: unknown): value is { configuration: Configuration } {
  return typeof value === "object" && value !== null && "format" in value && value.format === FORMAT
}

function revive(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 1) return value
  if ("address" in value && typeof value.address === "string") return Address.parse(value.address)
  if ("mac" in value && typeof value.mac === "string") return MacAddress.parse(value.mac)
  return value
}
