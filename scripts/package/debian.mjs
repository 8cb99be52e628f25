// Debian packages of the executables. They go beside Debian's own package `passt`, in whichever order.
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { target } from "./executable.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))

/**
 * Debian's package and version of each library that a runtime needs, by the last of the versions that its functions may
 * have. The packages' versions are those in Debian's lists of symbols: `/var/lib/dpkg/info/*.symbols`.
 */
const libraries = [
  { pattern: /^GLIBC_2\.(?:\d|1\d|2[0-8])(?:\.\d+)?$/, dependency: "libc6 (>= 2.28)" },
  { pattern: /^GCC_(?:3\.\d|4\.[0-2])(?:\.\d)?$/, dependency: "libgcc-s1 (>= 4.2)" },
  {
    pattern: /^(?:GLIBCXX_3\.4(?:\.(?:\d|1\d|2[01]))?|CXXABI_1\.3(?:\.(?:\d|1[01]))?)$/,
    dependency: "libstdc++6 (>= 10.2)",
  },
  { pattern: /^LIBATOMIC_1\.[0-2]$/, dependency: "libatomic1 (>= 4.8)" },
]

/**
 * Throws an error if the executable needs something else than these libraries.
 * @param {string} executable
 */
function checkLibraries(executable) {
  const text = execFileSync("readelf", ["--wide", "--dynamic", "--version-info", executable], { encoding: "utf8" })
  const needed = [...text.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name = ""]) => name)
  const known = /^(?:lib(?:c|m|dl|pthread|gcc_s|stdc\+\+|atomic)\.so\.\d|ld-linux.*)$/
  const versions = [...text.matchAll(/Name: (\S+)/g)].map(([, name = ""]) => name)
  const unknown = [
    ...needed.filter((name) => !known.test(name)),
    ...versions.filter((version) => !libraries.some(({ pattern }) => pattern.test(version))),
  ]
  if (unknown.length > 0) throw new Error(`${executable} needs more than its dependencies: ${unknown.join(", ")}`)
}

/** The time that all files get, in seconds: the same sources make the same package. */
function sourceDate() {
  const { SOURCE_DATE_EPOCH: given } = process.env
  return Number(given ?? execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8" }))
}

/**
 * `/usr/local/bin/NAME`, which PATH has before `/usr/bin`, is an alternative: Debian's own command where that is
 * installed, else ours, unless the administrator chooses. What somebody else has put there stays, and so do others'
 * alternatives. The trigger follows the coming and going of Debian's.
 * @param {string} name
 */
function maintainerScripts(name) {
  const link = `/usr/local/bin/${name}`
  const alternative = `/etc/alternatives/${name}`
  const debians = `/usr/bin/${name}`
  return {
    postinst: `#!/bin/sh
set -e
if [ "$(readlink ${link})" = ${alternative} ] ||
  { [ -d /usr/local/bin ] && [ ! -e ${link} ] && [ ! -L ${link} ]; }; then
  update-alternatives --quiet --install ${link} ${name} /usr/bin/demiflow-${name} 50
  if [ -e ${debians} ]; then
    update-alternatives --quiet --install ${link} ${name} ${debians} 100
  else
    update-alternatives --quiet --remove ${name} ${debians}
  fi
fi
`,
    prerm: `#!/bin/sh
set -e
if [ "$1" = remove ] && [ "$(readlink ${link})" = ${alternative} ]; then
  update-alternatives --quiet --remove ${name} ${debians}
  update-alternatives --quiet --remove ${name} /usr/bin/demiflow-${name}
fi
`,
    triggers: `interest-noawait ${debians}\n`,
  }
}

/**
 * @param {string} folder
 * @param {number} seconds
 */
function setTimes(folder, seconds) {
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    lutimesSync(join(folder, entry), seconds, seconds)
  }
  utimesSync(folder, seconds, seconds)
}

/**
 * Returns the package's path.
 * @param {string} name of the command
 * @param {string} executable
 * @param {string} notice the licences of what is in it
 * @param {string} work
 * @param {string} output
 */
export function makeDebianPackage(name, executable, notice, work, output) {
  checkLibraries(executable)
  const manifest = JSON.parse(readFileSync(join(root, `apps/${name}/package.json`), "utf8"))
  const full = `demiflow-${name}`
  const version = manifest.version.replace("-", "~")
  const tree = join(work, full)
  /** @param {string} path */
  const place = (path) => {
    mkdirSync(dirname(join(tree, path)), { recursive: true, mode: 0o755 })
    return join(tree, path)
  }
  /**
   * The original has a mode that its owner has chosen.
   * @param {string} original
   * @param {string} path
   * @param {number} mode
   */
  const copy = (original, path, mode) => {
    const copied = place(path)
    copyFileSync(original, copied)
    chmodSync(copied, mode)
  }
  copy(executable, `usr/lib/demiflow/${name}`, 0o755)
  symlinkSync(`../lib/demiflow/${name}`, place(`usr/bin/${full}`))
  writeFileSync(place(`usr/share/doc/${full}/copyright`), notice)
  copy(join(root, `apps/${name}/README.md`), `usr/share/doc/${full}/README.md`, 0o644)
  const control = `Package: ${full}
Version: ${version}
Architecture: ${target?.debian}
Maintainer: ${manifest.author} <maintainers@demiflow.invalid>
Installed-Size: ${Math.ceil(statSync(executable).size / 1024)}
Depends: ${libraries.map(({ dependency }) => dependency).join(", ")}
Section: net
Priority: optional
Homepage: ${manifest.homepage}
Description: ${manifest.description}
 One executable, which brings its own Node.js.
`
  for (const [file, text] of Object.entries({ control, ...maintainerScripts(name) })) {
    writeFileSync(place(`DEBIAN/${file}`), text, { mode: file.startsWith("p") ? 0o755 : 0o644 })
  }
  const seconds = sourceDate()
  setTimes(tree, seconds)
  const archive = join(output, `${full}_${version}_${target?.debian}.deb`)
  execFileSync("dpkg-deb", ["--root-owner-group", "-Zzstd", "-z10", "--build", tree, archive], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
    stdio: ["ignore", "ignore", "inherit"],
  })
  return archive
}
