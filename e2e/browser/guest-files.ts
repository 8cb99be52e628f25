/** Makes the files of the guest, or finds that they are up to date. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

/** Five times what it takes on two idle cores, milliseconds. */
const LIMIT = 600_000

export default function setup(): void {
  const script = join(import.meta.dirname, "../../scripts/v86-guest/main.mjs")
  const { status } = spawnSync(process.execPath, [script], { stdio: "inherit", timeout: LIMIT })
  if (status !== 0) throw new Error("the files of the guest can't be made")
}
