/**
 * Loaded into a data path before anything else. Once the wall is up, it tries what a guest that has taken the data path
 * over would try, and writes the result of each attempt to standard error. DEMIFLOW_ATTACKER_ADDON is the path of the
 * native addon, by which JavaScript makes system calls. An attempt that succeeds returns a text.
 */
"use strict"
const {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
  writeSync,
} = require("node:fs")
const { spawnSync } = require("node:child_process")
const native = require(process.env.DEMIFLOW_ATTACKER_ADDON)

const parent = process.ppid
const arena = new ArrayBuffer(1 << 16)
const words = new Int32Array(arena)
const bytes = new Uint8Array(arena)

const result = (value) => (value < 0 ? new Error(`error ${-value}`) : `answered ${value}`)
const failed = (value) => {
  const answer = result(value)
  if (answer instanceof Error) throw answer
  return answer
}
/** Carries out one step of a list here: its opcode and operands as in steps.h. A text stands for its offset. */
function step(opcode, ...operands) {
  let at = 4096
  const list = operands.map((operand) => {
    if (typeof operand === "number") return operand
    const offset = at - 4096
    bytes.set(Buffer.from(`${operand}\0`), at)
    at += operand.length + 1
    return offset
  })
  bytes[at] = 0
  words.set([opcode, ...list])
  return failed(native.runStepsHere(0, 1 + list.length, 4096, at + 1 - 4096))
}
function fork() {
  words.set([11])
  bytes[4096] = 0
  const child = native.runSteps(0, 1, 4096, 1, 2)
  return failed(child)
}
const STEP = { setUser: 3, unshare: 7, mount: 8, control: 9, open: 14 }
const F_SETFL = 4
const O_ASYNC = 0x2000
const CLONE_NEWUSER = 0x10000000
const PR_SET_DUMPABLE = 4

const attempts = {
  "make code from text": () => new Function("return 'made'")(),
  "read /etc/passwd": () => readFileSync("/etc/passwd", "latin1"),
  "read a folder": () => readdirSync("/etc").join(" "),
  "write to /tmp": () => writeFileSync("/tmp/written-by-a-data-path", "x") ?? "written",
  "append to a file": () => appendFileSync("/tmp/written-by-a-data-path", "x") ?? "written",
  "open its own memory": () => `descriptor ${openSync("/proc/self/mem", "r+")}`,
  "open the memory of the process that started it": () => `descriptor ${openSync(`/proc/${parent}/mem`, "r+")}`,
  "read /proc": () => readdirSync("/proc").join(" "),
  "read /sys": () => readdirSync("/sys").join(" "),
  "open a device": () => `descriptor ${openSync("/dev/null", "r")}`,
  "open /dev/net/tun": () => `descriptor ${openSync("/dev/net/tun", "r+")}`,
  "see a file": () => `size ${statSync("/bin/sh").size}`,
  "open by the addon": () => failed(native.open("/etc/passwd", 0, 0)),
  "remove a file above the folder that is kept": () => {
    const folders = [...Array(64).keys()].filter((number) => typeof native.identityAt(number, "..") === "string")
    if (folders.length === 0) throw new Error("there is none")
    const [above, own] = ["..", "."].map((name) => native.identityAt(folders[0], name))
    if (above === own) throw new Error("it leads nowhere")
    return `${above} above ${own}`
  },
  "execute a program": () => {
    const { error, pid } = spawnSync("/bin/sh", ["-c", "true"])
    if (error !== undefined) throw error
    return `process ${pid}`
  },
  "start a process": fork,
  "signal the process that started it": () => `signalled: ${process.kill(parent, 0)}`,
  "signal everything": () => `signalled: ${process.kill(-1, 0)}`,
  "make a raw socket": () => failed(native.socket(2, 3, 1)),
  "make a packet socket": () => failed(native.socket(17, 3, 0)),
  "make a netlink socket": () => failed(native.socket(16, 3, 0)),
  "make a UNIX socket": () => failed(native.socket(1, 1, 0)),
  "make a socket of a virtual machine": () => failed(native.socket(40, 1, 0)),
  "make a user namespace": () => step(STEP.unshare, CLONE_NEWUSER),
  "become root": () => step(STEP.setUser, 0),
  mount: () => step(STEP.mount, "none", "/", "tmpfs", 0),
  "be dumpable again": () => step(STEP.control, PR_SET_DUMPABLE, 1),
  "open by a step": () => step(STEP.open, "/etc/passwd", 0, 50),
  "have signals sent to a terminal's foreground": () => failed(native.fileControl(2, F_SETFL, O_ASYNC)),
  "find a process": () => failed(native.pidfdOpen(parent)),
  "ask a descriptor for its namespace": () => failed(native.ioctl(0, 0xb701, 0)),
}

function isWalled() {
  try {
    closeSync(openSync("/etc", "r"))
    return false
  } catch {
    return true
  }
}

/**
 * Attempts that need the addon run in a separate turn: the addon then has only this arena, and the data path is lost.
 */
const needsAddon = (attempt) => /native|step|fork/.test(String(attempt))
const rounds = [
  Object.entries(attempts).filter(([, attempt]) => !needsAddon(attempt)),
  Object.entries(attempts).filter(([, attempt]) => needsAddon(attempt)),
]
const succeeded = {}

const timer = setInterval(attack, 20)

function attack() {
  if (!isWalled()) return
  const isLast = rounds.length === 1
  if (isLast) native.attach(arena)
  for (const [what, attempt] of rounds.shift()) {
    try {
      succeeded[what] = String(attempt()).slice(0, 40)
    } catch {
      // Refused, as expected.
    }
  }
  if (!isLast) return
  clearInterval(timer)
  writeSync(2, `attempts: ${Object.keys(attempts).length}, succeeded: ${JSON.stringify(succeeded)}\n`)
}
