/** A Linux guest under QEMU, connected to passt, that runs the commands it gets over a serial port. */
import { copyFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { ordinaryUser, temporaryFolder } from "../harness/machine.ts"
import { Program } from "../harness/processes.ts"
import { makeInitramfs } from "./initramfs.ts"
import { findKernel } from "./kernel.ts"

/** Programs that the tests with virtual machines use. */
export const needed: readonly string[] = [
  "qemu-system-x86_64",
  "busybox",
  "dhclient",
  "nc.openbsd",
  "apt-get",
  "dpkg-deb",
]

/** What machines boot: made once per file of tests. */
export interface System {
  readonly kernel: string
  readonly initramfs: string
}

export async function makeSystem(): Promise<System> {
  const folder = temporaryFolder("qemu")
  const kernel = await findKernel()
  const system = { kernel: join(folder, "kernel"), initramfs: join(folder, "initramfs") }
  copyFileSync(kernel.image, system.kernel)
  writeFileSync(system.initramfs, await makeInitramfs(kernel))
  return system
}

export class VirtualMachine {
  readonly program: Program
  #requests = 0

  constructor(program: Program) {
    this.program = program
  }

  /** Boots; resolves once the guest takes requests. */
  static async start(system: System, socket: string, mac = "52:54:00:12:34:56"): Promise<VirtualMachine> {
    const argv = [
      "qemu-system-x86_64 -accel tcg -machine q35 -cpu max -m 384 -smp 1 -nodefaults -no-user-config -display none",
      `-kernel ${system.kernel} -initrd ${system.initramfs}`,
      "-serial stdio -serial null",
      `-device virtio-net-pci,netdev=s,mac=${mac},romfile=`,
      `-netdev stream,id=s,server=off,addr.type=unix,addr.path=${socket}`,
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

  /** Runs a script in the guest; gives what it printed and its exit status. */
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

  /** As a guest reboots by itself: QEMU stays, and so does its connection. */
  async reboot(): Promise<void> {
    const behind = this.program.stdout.length
    this.program.write(`${++this.#requests} ${Buffer.from("reboot -f").toString("base64")}\n`)
    await this.#ready(behind)
  }

  /** Without a word to the guest, as when its host kills it. */
  async kill(): Promise<void> {
    this.program.kill()
    await this.program.result
  }
}
