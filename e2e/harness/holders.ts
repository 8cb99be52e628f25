/** Processes that hold namespaces made by unshare(1), for programs under test to join. */
import { writeFileSync } from "node:fs"
import { environmentOf, type Identity } from "./identity.ts"
import { ordinaryUser } from "./machine.ts"
import { Program } from "./processes.ts"

const HOLD = 'echo "holder $$"; exec cat'

/** A process that stays until it is ended, in namespaces of its own. */
export class Holder {
  readonly program: Program
  readonly pid: number

  constructor(program: Program, pid: number) {
    this.program = program
    this.pid = pid
  }

  /** @param words prefix that runs a command in namespaces, such as `unshare --net` */
  static async start(words: readonly string[], as: Identity = "root"): Promise<Holder> {
    const user = as === "ordinary" ? ordinaryUser.prefix : []
    const program = new Program([...user, ...words, "sh", "-c", HOLD], {
      environment: environmentOf(as),
      keepInputOpen: true,
    })
    const [, pid = ""] = await program.printed(/^holder (\d+)$/m)
    return new Holder(program, Number(pid))
  }

  /**
   * A user namespace of an ordinary user with the same range of users as Podman's: user 0 is its creator, and 1 to
   * 65535, nobody among them, are others.
   */
  static async ofManyUsers(): Promise<Holder> {
    const holder = await Holder.start(["unshare", "--user"], "ordinary")
    const map = `0 ${ordinaryUser.uid} 1\n1 100000 65535\n`
    writeFileSync(`/proc/${holder.pid}/uid_map`, map)
    writeFileSync(`/proc/${holder.pid}/gid_map`, map)
    return holder
  }

  /** Path of one of its namespaces. */
  path(namespace: "net" | "user"): string {
    return `/proc/${this.pid}/ns/${namespace}`
  }

  /** Prefix that runs a command as user 0 of its user namespace, and in no other of its namespaces. */
  get asUser0(): readonly string[] {
    return ["nsenter", `--user=${this.path("user")}`, "--"]
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.program.signal(signal)
    await this.program.result
  }
}
