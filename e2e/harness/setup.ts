/** Before the cases of each file: what holds of all of them. */
import { afterAll, afterEach, expect } from "vitest"
import { takePrintedRefusals, takeRefusals } from "./refusals.ts"

const REFUSED = "system calls that were refused"

afterEach(() => expect(takePrintedRefusals(), REFUSED).toEqual([]))
// Registered first, and so run last: for what the hooks of a file end.
afterAll(() => expect(takeRefusals(), REFUSED).toEqual([]))
