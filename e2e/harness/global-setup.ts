import { compilePrograms } from "./compile.ts"
import { prepareMachine } from "./machine.ts"

export default function setup(): () => void {
  const undo = prepareMachine()
  compilePrograms()
  return undo
}
