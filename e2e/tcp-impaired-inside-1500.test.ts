/** Loss, delay, reordering and duplication inside the guest, with an MTU of 1500. */
import { testImpairedInside } from "./harness/impaired-inside.ts"

testImpairedInside(1500)
