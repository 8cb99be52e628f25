/** How passt starts, what it prints and writes, its user, and how it ends. */
import {
  chmodSync,
  existsSync,
  lchownSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { beginningOf, callersFiles } from "./harness/callers-files.ts"
import { awaitFile } from "./harness/files.ts"
import { Hypervisor } from "./harness/hypervisor.ts"
import { descriptors, isRunning, statusOf } from "./harness/inspection.ts"
import { fileFor, passtExecutable, reachable, temporaryFolder, testWith } from "./harness/machine.ts"
import { Passt, type PasstProcessOptions, runPasst } from "./harness/passt.ts"
import { eventually, type Result } from "./harness/processes.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

/** One guest that sends a request and disconnects. */
async function visit(socket: string): Promise<void> {
  const hypervisor = await Hypervisor.connect(socket)
  await hypervisor.settle()
  await hypervisor.disconnect()
}

/** Runs passt in the foreground while `body` runs. Returns passt's result. */
async function during(
  options: readonly string[],
  body: (passt: Passt) => Promise<void>,
  settings: PasstProcessOptions = {},
): Promise<Result> {
  const passt = await Passt.start(topology, options, settings)
  try {
    await body(passt)
    return await passt.stop()
  } finally {
    passt.program.kill()
  }
}

const mode = (path: string): number => statSync(path).mode & 0o777

test("in the foreground, it closes what its caller has left open", async () => {
  const fifo = join(temporaryFolder("fifo"), "fifo")
  await topology.host.must(["mkfifo", fifo])
  const reader = topology.host.start(["cat", fifo])
  // The end comes once the last writer has closed.
  const before = ["sh", "-euc", 'exec 7>"$0"; exec "$@"', fifo]
  const visited = await during([], async () => void (await reader.result), { before })
  expect(visited).toMatchObject({ status: 0 })
})

describe("SIGUSR1 while the runtime starts, which opens its debugger", () => {
  /** A file that a runtime loads before anything else: sends the signal, and waits for its effect. */
  const signalling = (): string => {
    const file = fileFor("signalling.cjs")
    const lines = [
      'const inspector = require("node:inspector")',
      'process.kill(process.pid, "SIGUSR1")',
      "const pause = new Int32Array(new SharedArrayBuffer(4))",
      "for (let n = 0; n < 100 && inspector.url() === undefined; n++) Atomics.wait(pause, 0, 0, 10)",
    ]
    writeFileSync(file, `${lines.join("\n")}\n`)
    return `--require=${file}`
  }
  const socket = () => join(temporaryFolder("passt"), "socket")

  test.each(["-f", "-q"])("ends the program that the user has started, with %s", async (option) => {
    const environment = { NODE_OPTIONS: signalling() }
    expect(await runPasst(topology.host, [option, "-s", socket()], { environment })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/passt: SIGUSR1 has opened the debugger of the runtime: ended, because .*\n$/),
    })
  })

  testWith("ss")("opens nothing in a process of ours in the background", async () => {
    const environment = { DEMIFLOW_NODE_OPTIONS: signalling() }
    const path = socket()
    const pidFile = join(temporaryFolder("pid"), "pid")
    const started = await runPasst(topology.host, ["-q", "-s", path, "-P", pidFile], { environment })
    expect(started.status).toBe(0)
    const pid = Number(readFileSync(pidFile, "utf8"))
    try {
      expect((await topology.host.run(["ss", "-Hltn"])).stdout).toBe("")
      await visit(path)
    } finally {
      process.kill(pid, "SIGTERM")
      await eventually("it has ended", () => (isRunning(pid) ? undefined : true))
    }
  })
})

describe("what it says", () => {
  test("where its socket is, what is announced to the guest, which ports lead there, how to start QEMU, in this order", () =>
    during(["-t", "2222:22", "-u", "5353:53"], async ({ program, socket }) => {
      await program.printed(/addr\.path=.*\n/, "stderr")
      const lines = [
        `UNIX domain socket bound at ${socket}`,
        "Template interface: ",
        "    host: 9a:55:9a:55:9a:55",
        "    NAT to host 127.0.0.1: 192.0.2.1",
        "    assign: 192.0.2.2",
        "    mask: 255.255.255.0",
        "    router: 192.0.2.1",
        "NDP/DHCPv6:",
        "    assign: 2001:db8:1::2",
        "Inbound forwarding rules (HOST):",
        "    TCP [*]:2222  =>  22",
        "    UDP [*]:5353  =>  53",
        "You can now start qemu",
        `addr.path=${socket}`,
      ]
      const places = lines.map((line) => program.stderr.indexOf(line))
      expect(lines.filter((_line, index) => places[index] < 0)).toEqual([])
      expect(places.slice(1).map((place, index) => place > places[index])).not.toContain(false)
    }).then(() => {}))

  test("nothing with -q", async () => {
    const { stdout, stderr } = await during(["-q", "-t", "2222:22"], ({ socket }) => visit(socket))
    expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "" })
  })

  test.each([
    ["who comes, but no packets, with -d", "-d", false],
    ["single packets with --trace", "--trace", true],
  ])("%s", async (_what, option, hasPackets) => {
    const { stderr } = await during([option], ({ socket }) => visit(socket))
    expect(stderr).toMatch(/accepted connection from PID \d+/)
    expect(/192\.0\.2\.123/.test(stderr)).toBe(hasPackets)
  })

  test("statistics now and then with --stats, of what there was", () =>
    during(["--stats", "1"], async ({ program, socket }) => {
      await visit(socket)
      await program.printed(/^ +from guest +1 frames, 42 bytes$/m, "stderr")
    }).then(() => {}))
})

describe("what it writes", () => {
  test("-l: a log of its own, which --log-size keeps small by dropping the oldest lines", async () => {
    const log = join(temporaryFolder("log"), "passt.log")
    const size = 40_960
    const text = () => readFileSync(log, "utf8")
    // With --debug each connection is logged.
    await during(["-d", "-l", log, "--log-size", String(size)], async ({ socket }) => {
      expect(mode(log)).toBe(0o600)
      await visit(socket)
      await eventually("the visit is logged", () => (/accepted connection/.test(text()) ? true : undefined))
      const [title] = text().split("\n")
      for (let time = 0; time < 700; time++) await (await Hypervisor.connect(socket)).disconnect()
      await eventually("it was full once", () => (text().startsWith(`${title}\n`) ? undefined : true))
    })
    expect(text().length).toBeLessThanOrEqual(size)
    const others = text()
      .split("\n")
      .filter((line) => !/^\d+\.\d+: /.test(line))
    expect(others).toEqual([""])
  })

  test("-l: visits without end are logged now and then, with their number in all", async () => {
    const log = join(temporaryFolder("log"), "passt.log")
    await during(["-l", log], async ({ socket }) => {
      for (let time = 0; time < 400; time++) await (await Hypervisor.connect(socket)).disconnect()
      // Refused while another one seems to be connected.
      await eventually("all were seen to go", () =>
        visit(socket).then(
          () => true,
          () => undefined,
        ),
      )
    })
    const text = readFileSync(log, "utf8")
    expect(text.match(/connection/g)?.length).toBeLessThan(200)
    const left = [...text.matchAll(/warning: (\d+) more lines were left out$/gm)].map(([, count]) => Number(count))
    expect(left.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(200)
  })

  test.each(["-l", "-p", "-P"])("%s: root doesn't write to where somebody else's link leads", async (option) => {
    const folder = temporaryFolder("link")
    const [precious, link] = [join(folder, "precious"), join(folder, "link")]
    writeFileSync(precious, "precious")
    symlinkSync(precious, link)
    lchownSync(link, 1234, 1234)
    const argv = ["-q", "-f", "-s", join(folder, "socket"), option, link]
    const { status: code, stderr } = await runPasst(topology.host, argv, { as: "root" })
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^[^\n]+symbolic link of user 1234[^\n]+\n$/),
    })
    expect(readFileSync(precious, "utf8")).toBe("precious")
  })

  test("-p: a capture of both directions", async () => {
    const capture = join(temporaryFolder("capture"), "guest.pcap")
    await during(["-p", capture], ({ socket }) => visit(socket))
    const bytes = readFileSync(capture)
    expect([bytes.readUInt32LE(0), bytes.readUInt32LE(20)]).toEqual([0xa1b2c3d4, 1])
    const arp: string[] = []
    for (let at = 24; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 8)) {
      const frame = bytes.subarray(at + 16)
      const sender = frame.toString("hex", 6, 12) === "9a559a559a55" ? "passt" : "guest"
      if (sender === "passt") expect(bytes.readUInt32LE(at + 8)).toBeGreaterThanOrEqual(60)
      if (frame.readUInt16BE(12) !== 0x0806) continue
      arp.push(`${sender} ${frame.readUInt16BE(20) === 1 ? "asks" : "answers"}`)
    }
    // passt first sends ARP requests, for a guest that was running before it.
    expect(arp).toEqual(["passt asks", "guest asks", "passt answers"])
  })

  test("-l and -p: files that the caller has open, by their descriptors", async () => {
    const { before, options, begin } = callersFiles()
    await during(options, async () => {}, { before })
    expect(begin()).toEqual(beginningOf("passt"))
  })
})

describe("in the background", () => {
  /** Starts passt, and waits for the end of the first process. Returns the second one. */
  async function start(options: readonly string[], settings: PasstProcessOptions = {}) {
    const folder = temporaryFolder("background")
    const [socket, pidFile] = [join(folder, "socket"), join(folder, "pid")]
    const result = await runPasst(topology.host, ["-s", socket, "-P", pidFile, ...options], settings)
    expect(result.status).toBe(0)
    return { folder, socket, pidFile, pid: Number(readFileSync(pidFile, "utf8")) }
  }

  /** Ends passt as its user would, and waits for the end. */
  async function end(pid: number): Promise<void> {
    process.kill(pid)
    await eventually("it has ended", () => (isRunning(pid) ? undefined : true))
  }

  test("everything is ready when the first process ends, and nothing of the caller's stays open", async () => {
    const before = ["sh", "-c", 'exec 9< /etc/passwd; exec "$@"', "sh"]
    const { socket, pidFile, pid } = await start(["-t", "2222:22"], { before })
    try {
      await visit(socket)
      expect(await topology.host.run(["ss", "-Htln"])).toMatchObject({ stdout: expect.stringMatching(/:2222\b/) })
      expect([readFileSync(pidFile, "utf8"), mode(pidFile)]).toEqual([`${pid}\n`, 0o600])
      const open = descriptors(pid)
      expect(open.filter((name) => name === "/etc/passwd" || name.startsWith("/dev/pts"))).toEqual([])
      expect(open.filter((name) => name.startsWith("pipe:")).length % 2).toBe(0)
    } finally {
      await end(pid)
    }
    expect(existsSync(socket)).toBe(false)
  })

  test("-l and -p: files that the caller has open, by their descriptors, which don't stay open", async () => {
    const { before, options, begin } = callersFiles()
    const { pid } = await start(options, { before })
    try {
      expect(begin()).toEqual(beginningOf("passt"))
      // Each is open once, by its writer.
      expect(descriptors(pid).filter((name) => name.includes("callers-files")).length).toBe(2)
    } finally {
      await end(pid)
    }
  })

  test.each([
    ["nobody", [], "65534 65534 65534 65534", "65534 65534 65534 65534"],
    ["who --runas says", ["--runas", "1234:4321"], "1234 1234 1234 1234", "4321 4321 4321 4321"],
  ])("started by root it is %s, without privileges, and writes its log", async (_who, options, uid, gid) => {
    const log = join(temporaryFolder("log"), "passt.log")
    const { folder, socket, pid } = await start(["-t", "81", "-l", log, ...options], { as: "root" })
    // As in /tmp: only the owner of a file may remove it.
    chmodSync(folder, 0o1777)
    try {
      expect([statusOf(pid, "Uid"), statusOf(pid, "Gid"), statusOf(pid, "Groups")]).toEqual([uid, gid, ""])
      expect(["CapEff", "CapPrm", "CapInh", "CapAmb"].map((name) => statusOf(pid, name))).toEqual(
        new Array(4).fill("0000000000000000"),
      )
      await visit(socket)
      await eventually("the visit is logged", () =>
        /accepted connection from PID \d+/.test(readFileSync(log, "utf8")) ? true : undefined,
      )
    } finally {
      await end(pid)
    }
    expect(existsSync(socket)).toBe(false)
  })

  test.each([
    ["a socket where there is no folder", ["-s", "/no/such/folder/socket"]],
    ["a PID file where there is no folder", ["-P", "/no/such/folder/pid"]],
    ["a log where there is no folder", ["-l", "/no/such/folder/log"]],
    ["a port that it may not have", ["-t", "81"]],
  ])("%s: status 1, one line, and nothing is left", async (_what, options) => {
    const folder = temporaryFolder("background")
    const words = ["-q", "-s", join(folder, "socket"), "-P", join(folder, "pid"), ...options]
    const { status: code, stderr } = await runPasst(topology.host, words)
    expect({ code, lines: stderr.split("\n").length - 1 }).toEqual({ code: 1, lines: 1 })
    expect(readdirSync(folder)).toEqual([])
  })
})

describe("who it is, started by root", () => {
  test.each([
    ["nobody", [], "65534 65534 65534 65534", "65534 65534 65534 65534"],
    [
      "the user of --runas, in the group of the same number",
      ["--runas", "1234"],
      "1234 1234 1234 1234",
      "1234 1234 1234 1234",
    ],
    ["user and group of --runas", ["--runas", "1234:4321"], "1234 1234 1234 1234", "4321 4321 4321 4321"],
    ["user and group by their names", ["--runas", "daemon:mail"], "1 1 1 1", "8 8 8 8"],
  ])("%s, with a low port open", async (_who, options, uid, gid) => {
    const { status: code } = await during(
      ["-t", "81", ...options],
      async ({ pid, socket }) => {
        // Everything was opened before anything is served.
        await visit(socket)
        expect([statusOf(pid, "Uid"), statusOf(pid, "Gid"), statusOf(pid, "Groups")]).toEqual([uid, gid, ""])
        expect(statusOf(pid, "CapEff")).toBe("0000000000000000")
      },
      { as: "root" },
    )
    expect(code).toBe(0)
  })
})

describe("in a terminal", () => {
  testWith("script", "bash")("it has job control: ^Z stops it, it goes on with fg, and ^C ends it", async () => {
    const folder = temporaryFolder("terminal")
    const [socket, pidFile] = [join(folder, "socket"), join(folder, "pid")]
    const words = ["script", "--quiet", "--command", "exec bash --norc --noprofile -i", "/dev/null"]
    const program = topology.host.start(words, {
      ordinary: true,
      keepInputOpen: true,
      environment: { ...process.env, HOME: "/tmp", SHELL: "/bin/sh" },
    })
    const number = awaitFile(pidFile)
    program.write(`${reachable(passtExecutable)} -f -q -s ${socket} -P ${pidFile}\n`)
    const pid = Number(await number.text)
    // Its descriptors of the terminal, standard output and standard error, are write-only.
    expect(descriptors(pid).filter((name) => name.startsWith("/dev/pts"))).toHaveLength(2)
    for (const number of [1, 2]) {
      expect(readFileSync(`/proc/${pid}/fdinfo/${number}`, "utf8")).toMatch(/^flags:\t\d+1$/m)
    }
    program.write("\u001a")
    await eventually("it is stopped", () => (statusOf(pid, "State").startsWith("T") ? true : undefined))
    program.write("fg\n")
    await visit(socket)
    program.write("\u0003")
    await eventually("it has ended", () => (isRunning(pid) ? undefined : true))
    // The quotes distinguish output from typed input.
    program.write("echo sta''tus $?\nexit\n")
    await program.printed(/status 130/)
    expect(existsSync(socket)).toBe(false)
    await program.result
  })
})

describe("how it ends", () => {
  test.each([
    ["SIGTERM", 0],
    ["SIGQUIT", 0],
    // The process ends by the signal, so that a shell ends the loop around it.
    ["SIGINT", "SIGINT"],
    ["SIGHUP", "SIGHUP"],
  ] as const)("%s: %s, and the socket is gone", async (signal, outcome) => {
    const passt = await Passt.start(topology)
    const hypervisor = await Hypervisor.connect(passt.socket)
    await hypervisor.settle()
    passt.program.signal(signal)
    const result = await passt.program.result
    expect(result.signal ?? result.status).toBe(outcome)
    await hypervisor.closed
    expect(existsSync(passt.socket)).toBe(false)
  })
})
