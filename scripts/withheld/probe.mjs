// Prints the IP versions for whose TCP sockets the addon can't set a peek offset, as "4", "6" or "46".
import { Arena } from "@demiflow/core"
import { attachArena } from "@demiflow/sys"

const native = attachArena(new Arena(1 << 16))
const [SOCK_STREAM, SOL_SOCKET, SO_PEEK_OFF] = [1, 1, 42]
const families = { 4: 2, 6: 10 }
const withheld = Object.entries(families).filter(([, family]) => {
  return native.setOptionInteger(native.socket(family, SOCK_STREAM, 0), SOL_SOCKET, SO_PEEK_OFF, 0) < 0
})
console.log(withheld.map(([version]) => version).join(""))
