/** A Linux guest under QEMU, connected to passt, that runs commands from a serial port. */
import { copyFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Entry } from "../../scripts/v86-guest/archive.mjs"
import { ordinaryUser, temporaryFolder } from "../harness/machine.ts"
import { Program } from "../harness/processes.ts"
import { makeInitramfs } from "./initramfs.ts"
import { findKernel, type Kernel } from "./kernel.ts"

/** Programs that the tests with virtual machines use. */
export const needed: readonly string[] = [
  "qemu-system-x86_64",
  "busybox",
  "dhclient",
  "nc.openbsd",
  "apt-get",
  "dpkg-deb",
]

/** The files that machines boot, made once for each test file. */
export interface System {
  readonly kernel: string
  readonly initramfs: string
  /** Memory. */
  readonly megabytes: number
}

const MEGABYTES = 384

export interface MachineOptions {
  /** passt's socket; without one, the machine has no network. */
  readonly socket?: string
  readonly mac?: string
  /** The machine shares its memory with passt. */
  readonly vhostUser?: boolean
  /** Further properties of the network card. */
  readonly card?: readonly string[]
  /** Path of the socket for QMP, QEMU's own protocol. Memory can be plugged in then. */
  readonly monitor?: string
}

/** The arguments for the machine's memory and network. */
function memoryAndNetwork(megabytes: number, options: MachineOptions): readonly string[] {
  const { socket, mac = "52:54:00:12:34:56", vhostUser = false, card = [], monitor } = options
  const more = monitor === undefined ? "" : ",slots=4,maxmem=4G"
  const memory = [
    `-m ${megabytes}M${more}`,
    ...(vhostUser ? [`-object memory-backend-memfd,id=m,size=${megabytes}M,share=on -machine memory-backend=m`] : []),
    ...(monitor === undefined ? [] : [`-qmp unix:${monitor},server=on,wait=off`]),
  ]
  if (socket === undefined) return memory
  return [
    ...memory,
    // Without KVM, QEMU 7.2 ends with SIGSEGV if a guest masks the control queue's vector beside vhost-user.
    `-device ${["virtio-net-pci", "netdev=n", `mac=${mac}`, "romfile=", ...(vhostUser ? ["vectors=0"] : []), ...card]}`,
    vhostUser
      ? `-chardev socket,id=c,path=${socket} -netdev vhost-user,id=n,chardev=c`
      : `-netdev stream,id=n,server=off,addr.type=unix,addr.path=${socket}`,
  ]
}

/** @param more files besides those that every guest has */
export async function makeSystem(more?: (kernel: Kernel) => Promise<readonly Entry[]>): Promise<System> {
  const folder = temporaryFolder("qemu")
  const kernel = await findKernel()
  const entries = (await more?.(kernel)) ?? []
  const bytes = entries.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0)
  // For a while, memory holds the files both packed and unpacked.
  const megabytes = MEGABYTES + Math.ceil((2 * bytes) / 2 ** 20)
  const system = { kernel: join(folder, "kernel"), initramfs: join(folder, "initramfs"), megabytes }
  copyFileSync(kernel.image, system.kernel)
  writeFileSync(system.initramfs, await makeInitramfs(kernel, entries))
  return system
}

export class VirtualMachine {
  readonly program: Program
  #requests = 0

  constructor(program: Program) {
    this.program = program
  }

  /** Boots the machine. Resolves once the guest accepts requests. */
  static async start({ kernel, initramfs, megabytes }: System, options: MachineOptions = {}): Promise<VirtualMachine> {
    const argv = [
      "qemu-system-x86_64 -accel tcg -machine q35 -cpu max",
      "-smp 1 -nodefaults -no-user-config -display none",
      `-kernel ${kernel} -initrd ${initramfs}`,
      "-serial stdio -serial null",
      ...memoryAndNetwork(megabytes, options),
    ].flatMap((line) => line.split(" "))
    const append = ["-append", "console=ttyS1 quiet panic=-1 mitigations=off tsc=reliable"]
    const program = new Program([...ordinaryUser.prefix, ...argv, ...append], {
      keepInputOpen: true,
      environment: { ...process.env, HOME: "/tmp" },
    })
    const machine = new VirtualMachine(program)
    await machine.#ready(0)
    return machine
  }

  async #ready(behind: number): Promise<void> {
    await this.program.printed(new RegExp(`^[^]{${behind},}^ready\\r?\\n`, "m"))
  }

  /** Runs a script in the guest. Returns its output and exit status. */
  async run(script: string): Promise<{ readonly status: number; readonly output: string }> {
    const number = ++this.#requests
    this.program.write(`${number} ${Buffer.from(script).toString("base64")}\n`)
    const answer = new RegExp(`^${number} (\\d+) (\\S*)\\r?\\n`, "m")
    const [, status, output = ""] = await this.program.printed(answer)
    return { status: Number(status), output: Buffer.from(output, "base64").toString() }
  }

  /** The same, and rejects unless the exit status is zero. */
  async must(script: string): Promise<string> {
    const { status, output } = await this.run(script)
    if (status !== 0) throw new Error(`in the guest: ${script}: ended with ${status}\n${output}`)
    return output
  }

  /** Reboots the guest from inside: QEMU keeps running, and its connection stays. */
  async reboot(): Promise<void> {
    const behind = this.program.stdout.length
    this.program.write(`${++this.#requests} ${Buffer.from("reboot -f").toString("base64")}\n`)
    await this.#ready(behind)
  }

  /** Ends the machine without a notice to the guest, as when its host kills it. */
  async kill(): Promise<void> {
    this.program.kill()
    await this.program.result
  }
}
