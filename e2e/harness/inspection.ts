/** Reads facts about the processes under test, and their namespaces, from /proc. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import type { Place } from "./places.ts"

/** Processes whose environment contains this mark. */
export function markedProcesses(mark: string): readonly number[] {
  return allProcesses().filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(mark)
    } catch {
      return false // It has ended, or is a kernel thread.
    }
  })
}

/** Processes in the network namespace with this inode number. */
export function processesInNetwork(inode: string): readonly number[] {
  return allProcesses().filter((pid) => networkOf(pid) === inode)
}

/** The targets of a process's descriptors. */
export function descriptors(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`)
      } catch {
        return "closed"
      }
    })
  } catch {
    return []
  }
}

/** Resident memory of a process in KiB. */
export function residentMemory(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))
  return Number(match?.[1])
}

function allProcesses(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** The inode number of a process's network namespace. */
export function networkOf(pid: number): string | undefined {
  try {
    return /\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1]
  } catch {
    return undefined
  }
}

/** The value of a name in /proc/PID/status, with single spaces. */
export function statusOf(pid: number, name: string): string {
  const line = readFileSync(`/proc/${pid}/status`, "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${name}:`))
  return (
    line
      ?.slice(name.length + 1)
      .trim()
      .replaceAll(/\s+/g, " ") ?? ""
  )
}

/** False for a process that has ended, even if it has not been waited for. */
export function isRunning(pid: number): boolean {
  try {
    return existsSync(`/proc/${pid}`) && !statusOf(pid, "State").startsWith("Z")
  } catch {
    return false
  }
}

/** TCP segments that a namespace's kernel dropped because the receive buffers of their sockets were full. */
export async function receiveBufferDrops(place: Place): Promise<number> {
  const [names, values] = (await place.must(["grep", "^TcpExt:", "/proc/net/netstat"])).trim().split("\n")
  const index = names.split(" ").indexOf("TCPRcvQDrop")
  if (index < 0) throw new Error("This kernel doesn't count what receive buffers have no room for")
  return Number(values.split(" ")[index])
}

/** The children of this process that are still running. */
export function childrenOf(pid: number): readonly number[] {
  return allProcesses().filter((child) => {
    try {
      return parentOf(child) === pid
    } catch {
      return false // It has ended.
    }
  })
}

/** The parent of this process. */
export function parentOf(pid: number): number {
  return Number(statusOf(pid, "PPid"))
}

/** The helper of pasta's data path in the namespace. */
export function helperOf(dataPath: number): number {
  const helper = childrenOf(dataPath).find((child) =>
    /^demiflow-namespace/.test(readFileSync(`/proc/${child}/cmdline`, "utf8")),
  )
  if (helper === undefined) throw new Error("There is no helper")
  return helper
}
