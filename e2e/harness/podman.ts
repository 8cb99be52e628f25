/**
 * Podman with a store and an image of its own, created for the tests: BusyBox, and a file to serve. No registry is
 * used, and images and containers of the machine's own Podman are out of reach.
 */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { hashOf, slice } from "../programs/pattern.mjs"
import type { Identity } from "./identity.ts"
import { ordinaryUser, temporaryFolder } from "./machine.ts"
import type { Place } from "./places.ts"
import { mustRun, type ProcessOptions, Program } from "./processes.ts"

/** Length of the file `data` that containers serve, in bytes. */
const SERVED_BYTES = 1_000_000

/** The name of the image. */
export const image = "localhost/busybox"

/** SHA-256 of the file `data`, in hexadecimal. */
export const servedHash: string = hashOf(1, SERVED_BYTES)

/** The applets that tests use. */
const applets = ["sh", "cat", "httpd", "ip", "sha256sum", "wget"]

/**
 * crun refuses the layout of control groups that has both versions. Nothing here uses either, so the second version is
 * unmounted in a mount namespace of its own.
 */
const withoutHybridControlGroups = [
  ...["unshare", "--mount", "--", "sh", "-c"],
  'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"',
  "sh",
]

async function makeImage(folder: string): Promise<string> {
  const tree = join(folder, "tree")
  mkdirSync(join(tree, "bin"), { recursive: true })
  mkdirSync(join(tree, "www"))
  copyFileSync("/bin/busybox", join(tree, "bin/busybox"))
  chmodSync(join(tree, "bin/busybox"), 0o755)
  for (const applet of applets) symlinkSync("busybox", join(tree, "bin", applet))
  writeFileSync(join(tree, "www/data"), slice(1, 0, SERVED_BYTES))
  const archive = join(folder, "image.tar")
  await mustRun(["tar", "--owner=0", "--group=0", "-C", tree, "-cf", archive, "."])
  return archive
}

/** The common options of `podman run`: no control groups, and limits that every user may set. */
export function container(network: string): readonly string[] {
  const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
  return ["--rm", "--interactive", "--runtime", "crun", "--cgroups", "disabled", ...limits, "--network", network]
}

export class Podman {
  readonly folder: string
  readonly #as: Identity
  readonly #place: Place

  private constructor(place: Place, as: Identity, folder: string) {
    this.#place = place
    this.#as = as
    this.folder = folder
  }

  /** Prepares to run containers. Podman itself is in the network of `place`. */
  static async create(place: Place, as: Identity): Promise<Podman> {
    const folder = temporaryFolder("podman")
    const archive = await makeImage(folder)
    // Podman's home and runtime folder must belong to its user.
    if (as === "ordinary") chownSync(folder, ordinaryUser.uid, ordinaryUser.uid)
    const podman = new Podman(place, as, folder)
    await mustRun(podman.words("import", archive, image), podman.options())
    return podman
  }

  /** The command line of a Podman command. */
  words(...command: readonly string[]): readonly string[] {
    const user = this.#as === "ordinary" ? ordinaryUser.prefix : []
    const store = ["--root", join(this.folder, "store"), "--runroot", join(this.folder, "run")]
    const podman = ["podman", ...store, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", ...command]
    return [...this.#place.prefix(), ...withoutHybridControlGroups, ...user, ...podman]
  }

  options(): ProcessOptions {
    const { PATH } = process.env
    return { environment: { PATH, HOME: this.folder, XDG_RUNTIME_DIR: this.folder } }
  }

  start(...command: readonly string[]): Program {
    return new Program(this.words(...command), { ...this.options(), keepInputOpen: true })
  }

  /** Ends the process that Podman leaves behind to keep its user namespace. */
  end(): void {
    const file = join(this.folder, "libpod/tmp/pause.pid")
    if (existsSync(file)) process.kill(Number(readFileSync(file, "utf8")), "SIGKILL")
  }
}
