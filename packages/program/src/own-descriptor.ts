/** Paths that name a descriptor of the process that opens them: `/dev/fd/5`, `/dev/stdout`, `/proc/self/fd/5`. */

const PATH = /^\/(?:dev|proc\/(?:self|thread-self))\/fd\/(\d{1,7})$/
const STANDARD: Readonly<Record<string, number>> = { "/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2 }

/** The descriptor that a path names; undefined if the path names none. */
export function descriptorOf(path: string | undefined): number | undefined {
  if (path === undefined) return undefined
  const number = STANDARD[path] ?? PATH.exec(path)?.[1]
  return number === undefined ? undefined : Number(number)
}

/** A path that opens what a descriptor of this process refers to. */
export function pathOf(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`
}
