/**
 * The options of both programs, one row each: syntax, help text, and effect on the
 * `Options`. The rows have the order of the help text, and of the possibilities that the message for an ambiguous
 * abbreviation lists.
 */
import { forwardingOptions } from "./forwarding-options.ts"
import { generalOptions } from "./general-options.ts"
import { guestOptions } from "./guest-options.ts"
import { hypervisorOptions } from "./hypervisor-options.ts"
import { nameOptions } from "./name-options.ts"
import { namespaceOptions } from "./namespace-options.ts"
import type { OptionRow } from "./option-row.ts"
import { trafficOptions } from "./traffic-options.ts"

/** All options but `--help` and `--version`, which end the parsing. */
export const OPTION_TABLE: readonly OptionRow[] = [
  ...generalOptions,
  ...guestOptions,
  ...nameOptions,
  ...trafficOptions,
  ...forwardingOptions,
  ...namespaceOptions,
  ...hypervisorOptions,
]
