/** A virtual machine at the stream socket. More of its life is tested in `machines/`. */
import { testVirtualMachine } from "./cases/virtual-machine.ts"
import { useTopology } from "./harness/topology.ts"

testVirtualMachine(useTopology())
