// A Debian in a folder that has nothing but what our packages need, and how programs run there.
import { execFile, execFileSync, spawn } from "node:child_process"
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { promisify } from "node:util"

/** dpkg, and what its scripts and these tests call; libraries. No Node.js, and no C compiler. */
const contents = "base-files base-passwd coreutils dash diffutils dpkg grep libc-bin mawk sed tar libatomic1 libstdc++6"
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
const nobody = "65534"

/** The release of this Debian. */
const release = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "stable"

export class Root {
  /** @param {string} folder where it is made */
  constructor(folder) {
    this.folder = folder
    const options = ["--quiet", "--mode=root", "--variant=custom", `--include=${contents.replaceAll(" ", ",")}`]
    execFileSync("mmdebstrap", [...options, release, folder], {
      env: { ...process.env, PATH: path },
      stdio: ["ignore", "ignore", "inherit"],
    })
    copyFileSync("/bin/busybox", join(folder, "usr/bin/busybox"))
  }

  /**
   * Puts a file into `/tmp`. Returns its path there.
   * @param {string} file
   */
  add(file) {
    copyFileSync(file, join(this.folder, "tmp", basename(file)))
    return `/tmp/${basename(file)}`
  }

  /**
   * Runs a command as root, in a chroot. Returns what it printed.
   * @param {readonly string[]} command
   */
  administer(command) {
    return execFileSync("chroot", [this.folder, ...command], { env: { PATH: path }, encoding: "utf8", stdio: "pipe" })
  }

  /**
   * Runs a command as nobody. Returns what it printed.
   * @param {readonly string[]} command
   * @param {readonly string[]} [forbidden] folders where nothing may be executed
   */
  async run(command, forbidden) {
    const [file, parameters, options] = this.#inside(command, forbidden)
    const { stdout } = await promisify(execFile)(file, parameters, { ...options, timeout: 60_000 })
    return stdout
  }

  /**
   * Starts a command as nobody.
   * @param {readonly string[]} command
   */
  start(command) {
    const [file, parameters, options] = this.#inside(command)
    return spawn(file, parameters, { ...options, stdio: ["ignore", "pipe", "pipe"] })
  }

  /**
   * @param {readonly string[]} command
   * @param {readonly string[]} [forbidden]
   * @returns {[string, string[], { env: NodeJS.ProcessEnv }]}
   */
  #inside(command, forbidden = ["/dev/shm"]) {
    const script = join(import.meta.dirname, "inside.sh")
    return [
      "unshare",
      ["--mount", "sh", script, this.folder, nobody, ...command],
      { env: { PATH: path, FORBIDDEN: forbidden.join(" ") } },
    ]
  }
}

/**
 * Fetches Debian's own package. Returns its path.
 * @param {string} folder
 */
export function fetchDebians(folder) {
  mkdirSync(folder)
  execFileSync("apt-get", ["-qq", "-o", "APT::Sandbox::User=root", "download", "passt"], { cwd: folder, stdio: "pipe" })
  return join(folder, readdirSync(folder)[0] ?? "")
}
