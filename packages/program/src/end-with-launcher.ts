import type { Machinery } from "./machinery.ts"

/**
 * Makes the data path end with its launcher. The kernel reports that the pipe's other end is closed. A signal at the
 * parent's end wouldn't do: a change of user cancels it.
 *
 * @param report the pipe's end to write reports to
 */
export function endWithLauncher({ loop }: Machinery, report: number): void {
  loop.watchDescriptor(report, 0, () => loop.stop())
}
