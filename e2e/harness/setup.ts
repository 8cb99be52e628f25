/** The set-up before the cases of each file. */
import { afterAll, afterEach, expect } from "vitest"
import { takePrintedRefusals, takeRefusals } from "./refusals.ts"

const REFUSED = "system calls that were refused"

afterEach(() => expect(takePrintedRefusals(), REFUSED).toEqual([]))
// Registered first, and so run last: after the hooks of a file have ended their programs.
afterAll(() => expect(takeRefusals(), REFUSED).toEqual([]))
