/** A virtual machine that shares its memory with passt. More of its life is tested in `machines/`. */
import { testVirtualMachine } from "./cases/virtual-machine.ts"
import { useTopology } from "./harness/topology.ts"

testVirtualMachine(useTopology(), { vhostUser: true })
