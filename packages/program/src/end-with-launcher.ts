import type { Machinery } from "./machinery.ts"

/**
 * Has the data path end with its launcher. The kernel reports by itself that the pipe's other end is closed; the signal that the kernel
 * was asked for is lost with a change of user.
 *
 * @param report the pipe's end to write reports to
 */
export function endWithLauncher({ loop }: Machinery, report: number): void {
  loop.watchDescriptor(report, 0, () => loop.stop())
}
