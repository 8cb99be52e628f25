/** A machine that can only boot from its network card: iPXE from the card's ROM, at its prompt. */
import { ordinaryUser } from "../harness/machine.ts"
import { Program } from "../harness/processes.ts"

/** Emulated cards for which there is a ROM with iPXE. */
export type Card = "virtio-net-pci" | "e1000"

/** Debian's folder, which QEMU finds by itself. */
export const romIn = (card: Card): string => `/usr/lib/ipxe/qemu/efi-${card.replace(/-.*/, "")}.rom`

const CONTROL_B = "\x02"
/** Keys that are sent at a time: the firmware has room for 15. */
const KEYS = 8

export class BootRom {
  readonly program: Program

  private constructor(program: Program) {
    this.program = program
  }

  /** Turns the machine on; resolves once it takes commands. */
  static async start(socket: string, card: Card): Promise<BootRom> {
    const argv = [
      // Without graphics, the firmware has its console at the first serial port.
      "qemu-system-x86_64 -accel tcg -machine q35,graphics=off -m 128 -nodefaults -no-user-config -display none",
      `-serial stdio -device ${card},netdev=s,mac=52:54:00:12:34:56`,
      `-netdev stream,id=s,server=off,addr.type=unix,addr.path=${socket}`,
    ].flatMap((line) => line.split(" "))
    const program = new Program([...ordinaryUser.prefix, ...argv], {
      keepInputOpen: true,
      environment: { ...process.env, HOME: "/tmp" },
    })
    await program.printed(/Ctrl-B for the iPXE command line/)
    program.write(CONTROL_B)
    await program.printed(/iPXE> /)
    return new BootRom(program)
  }

  /** Types a command. Its output follows on `program.stdout`. */
  async type(command: string): Promise<void> {
    const keys = `${command}\r`
    for (let at = 0; at < keys.length; at += KEYS) {
      const some = keys.slice(at, at + KEYS)
      // The firmware echoes each key.
      const shown = this.program.stdout.length + some.length
      this.program.write(some)
      await this.program.printed(new RegExp(`^[^]{${shown},}`))
    }
  }

  /** Types a command, and waits until it has succeeded or failed. Returns its output. */
  async run(command: string): Promise<string> {
    const before = this.program.stdout.length
    await this.type(command)
    const [, output = ""] = await this.program.printed(new RegExp(`^[^]{${before}}([^]*?)\\niPXE> `))
    return output
  }

  async turnOff(): Promise<void> {
    this.program.kill()
    await this.program.result
  }
}
