/** Loss, delay, reordering and duplication inside the guest, with an MTU of 65520. */
import { testImpairedInside } from "./harness/impaired-inside.ts"

testImpairedInside(65520)
