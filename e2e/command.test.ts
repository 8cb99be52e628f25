/** The command that pasta runs: its namespaces, its exit status, its signals and its terminal. */
import { readFileSync, readlinkSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { beginningOf, callersFiles } from "./harness/callers-files.ts"
import { isRunning, markedProcesses, processesInNetwork } from "./harness/inspection.ts"
import { pastaExecutable, reachable, testWith } from "./harness/machine.ts"
import { Pasta, runPasta, startPastaProcess } from "./harness/pasta.ts"
import { eventually } from "./harness/processes.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

/** Removes the line about giving up root. */
const withoutNotice = (stderr: string) => stderr.replace(/^.*started as root.*\n/i, "")

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8")
  } catch {
    return ""
  }
}

describe.each(["ordinary", "root"] as const)("as %s user", (as) => {
  const run = (...command: string[]) => runPasta(topology.host, ["--config-net", "--", ...command], as)

  test.each([0, 1, 3, 77, 255])("exit status %i is passed on", async (status) => {
    expect(await run("sh", "-c", `exit ${status}`)).toMatchObject({ status, signal: null })
  })

  test("-l and -p write to files that the caller has open, by their descriptors", async () => {
    const { before, options, begin } = callersFiles()
    const result = await runPasta(topology.host, ["--config-net", ...options, "--", "true"], as, { before })
    expect(result).toMatchObject({ status: 0 })
    expect(begin()).toEqual(beginningOf("pasta"))
  })

  test("a command that is killed gives 128 + 9", async () => {
    // From outside: the first process of a PID namespace is immune to signals from within.
    const command = ["sh", "-c", "readlink /proc/self/ns/net; read x"]
    const program = startPastaProcess(topology.host, ["--config-net", "--", ...command], as, { keepInputOpen: true })
    const [, inode = ""] = await program.printed(/^net:\[(\d+)\]$/m)
    const shell = await eventually("the command", () =>
      processesInNetwork(inode).find((pid) => commandLine(pid).startsWith("sh\0-c")),
    )
    process.kill(shell, "SIGKILL")
    expect(await program.result).toMatchObject({ status: 128 + 9, signal: null })
  })

  // The kernel ends it with its parent. Privileges that the data path has dropped must not prevent that. Which thread
  // ends last varies.
  test("a data path that is killed takes the command with it, each time", async () => {
    const kill = async (options: readonly string[]): Promise<void> => {
      const pasta = await Pasta.start(topology, { as, options: ["--config-net", ...options] })
      const { dataPath, guest } = pasta
      process.kill(dataPath, "SIGKILL")
      await eventually("the command has ended", () => (isRunning(guest.pid) ? undefined : true))
      await pasta.program.result
    }
    for (let round = 0; round < 4; round++) await Promise.all([kill([]), kill(["--no-pidns"]), kill([])])
  })

  testWith("python3")("a command that crashes gives 128 + 11", async () => {
    const result = await run("/usr/bin/python3", "-c", "import ctypes; ctypes.string_at(0)")
    expect(result).toMatchObject({ status: 128 + 11, signal: null })
  })

  test("a command that is not there fails with one line", async () => {
    const { status, stdout, stderr } = await run("no-such-command-anywhere")
    expect([1, 127]).toContain(status)
    expect(stdout).toBe("")
    expect(withoutNotice(stderr)).toMatch(/^[^\n]*no-such-command-anywhere[^\n]*\n$/)
  })

  test("standard input, output and error are the command's own", async () => {
    const script = "cat; echo to the error output >&2"
    const { stdout, stderr } = await runPasta(topology.host, ["--config-net", "--", "sh", "-c", script], as, {
      input: "line by line\n",
    })
    expect(stdout).toBe("line by line\n")
    expect(withoutNotice(stderr)).toBe("to the error output\n")
  })

  test("the command keeps its own options, its directory and its environment", async () => {
    const { stdout } = await runPasta(
      topology.host,
      ["--config-net", "sh", "-c", 'echo "$0 $1 $MARK"; pwd', "-x", "--help"],
      as,
      {
        environment: { MARK: "marked" },
        workingDirectory: "/usr",
      },
    )
    expect(stdout).toBe("-x --help marked\n/usr\n")
  })

  test("the command gets as many arguments as the kernel lets it have, whatever the caller has left open", async () => {
    const count = 12
    const many = Array.from({ length: count }, () => "x".repeat(100_000))
    const { stdout } = await run("sh", "-c", "echo $#", "sh", ...many)
    expect(stdout).toBe(`${count}\n`)
    const { stdout: again } = await runPasta(
      topology.host,
      ["--config-net", "sh", "-c", "echo $#", "sh", ...many],
      as,
      { before: ["sh", "-euc", 'exec 7</dev/zero; exec "$0" "$@"'] },
    )
    expect(again).toBe(`${count}\n`)
  })

  test("the command is root in user, network, PID, mount, UTS and IPC namespaces of its own", async () => {
    const script =
      "id -u; id -g; echo $$; for n in user net pid mnt uts ipc; do readlink /proc/self/ns/$n; done; cat /proc/self/uid_map"
    const { stdout } = await run("sh", "-c", script)
    const [uid, gid, pid, ...rest] = stdout.trim().split("\n")
    expect({ uid, gid }).toEqual({ uid: "0", gid: "0" })
    expect(Number(pid)).toBeLessThan(10)
    for (const name of ["user", "net", "pid", "mnt", "uts", "ipc"]) {
      const inside = rest.find((line) => line.startsWith(`${name}:`))
      expect(inside).toMatch(/\[\d+\]$/)
      expect(inside).not.toBe(readlinkSync(`/proc/self/ns/${name}`))
    }
  })

  test("/proc shows the processes of the namespace, and no others", async () => {
    const { stdout } = await run("sh", "-c", "ls -d /proc/[0-9]* | wc -l; readlink /proc/self")
    const [count, self] = stdout.trim().split("\n").map(Number)
    expect(count).toBeLessThan(6)
    expect(self).toBeLessThan(20)
  })

  test("without a command, it is the shell of $SHELL", async () => {
    const { stdout } = await runPasta(topology.host, ["--config-net"], as, {
      environment: { SHELL: "/bin/sh" },
      input: "echo shell: $0; ip -br addr show eth0\n",
    })
    expect(stdout).toContain("shell: ")
    expect(stdout).toContain("192.0.2.2/24")
  })

  test("SIGTERM to pasta ends the command too, and nothing is left behind", async () => {
    const mark = `mark-${process.pid}-${as}`
    const script = "readlink /proc/self/ns/net; sleep 1000 & sleep 1000"
    const program = startPastaProcess(topology.host, ["--config-net", "--", "sh", "-c", script], as, {
      environment: { DEMIFLOW_E2E_MARK: mark },
    })
    const [, inode = ""] = await program.printed(/^net:\[(\d+)\]$/m)
    expect(processesInNetwork(inode).length).toBeGreaterThan(0)
    program.signal("SIGTERM")
    await program.result
    await eventually("no process is left", () =>
      markedProcesses(mark).length === 0 && processesInNetwork(inode).length === 0 ? true : undefined,
    )
  })

  test("what the command leaves running ends with it", async () => {
    const mark = `left-${process.pid}-${as}`
    const { status, stdout } = await runPasta(
      topology.host,
      ["--config-net", "--", "sh", "-c", "readlink /proc/self/ns/net; setsid sleep 1000 >/dev/null 2>&1 &"],
      as,
      { environment: { DEMIFLOW_E2E_MARK: mark } },
    )
    expect(status).toBe(0)
    const [, inode = ""] = /\[(\d+)\]/.exec(stdout) ?? []
    await eventually("no process is left", () =>
      markedProcesses(mark).length === 0 && processesInNetwork(inode).length === 0 ? true : undefined,
    )
  })
})

describe("in a terminal", () => {
  const terminal = (...command: string[]) => {
    const words = [reachable(pastaExecutable), "--config-net", "--", ...command]
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")
    // Without exec a shell may run the command, and end with a status of its own at ^C.
    return topology.host.start(["script", "--quiet", "--return", "--command", `exec ${quoted}`, "/dev/null"], {
      ordinary: true,
      keepInputOpen: true,
      environment: { ...process.env, HOME: "/tmp", SHELL: "/bin/sh" },
    })
  }

  testWith("script")("^C interrupts the command, which may outlive it and set the exit status", async () => {
    const program = terminal("sh", "-c", "trap 'echo interrupted; exit 7' INT; echo waiting; while :; do read x; done")
    await program.printed(/waiting/)
    program.write("\u0003")
    await program.printed(/interrupted/)
    expect(await program.result).toMatchObject({ status: 7 })
  })

  testWith("script")("the command has the terminal, and its size", async () => {
    const program = terminal("sh", "-c", "tty; stty rows 33 cols 77; stty size; ps -o tty= -p $$")
    const { stdout, status } = await program.result
    expect(stdout).toMatch(/\/dev\/pts\/\d+/)
    expect(stdout).toContain("33 77")
    expect(status).toBe(0)
  })

  // dash and ash fail as they end: they can't give the terminal back to a process group outside of the PID namespace.
  testWith("script", "bash")("a shell has job control: ^Z stops its job, not pasta", async () => {
    const program = terminal("bash", "--norc", "--noprofile", "-i")
    // The quotes distinguish output from typed input.
    program.write("echo job be''gins; sleep 1000\n")
    await program.printed(/job begins/)
    // A ^Z may arrive before the job is in the foreground, and a further one discards output printed just before it.
    await eventually("the job is stopped", () => {
      program.write("\u001ajobs\n")
      return /[Ss]topped/.test(program.stdout) ? true : undefined
    })
    // Without -f, bash doesn't wait for a job that it still knows as stopped, and won't exit while it has one.
    program.write("kill -KILL %1; wait -f %1; echo and en''ds\n")
    await program.printed(/and ends/)
    program.write("exit 5\n")
    expect(await program.result).toMatchObject({ status: 5 })
  })
})
