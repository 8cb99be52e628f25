// The C compiler that the environment names: how it is called, and what it compiles for.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"

/** Printed by the preprocessor, with numbers in place of the macros. */
const QUESTIONS = `
#if __has_include(<linux/if_tun.h>) && __has_include(<asm/types.h>)
has_kernel_headers
#endif
bits __SIZEOF_POINTER__ endian __BYTE_ORDER__ __ORDER_LITTLE_ENDIAN__
`

/**
 * The words of a variable like CC or CFLAGS: `CC="ccache gcc"`.
 * @param {string | undefined} variable
 */
function wordsOf(variable) {
  return (variable ?? "").split(/\s+/).filter(Boolean)
}

/**
 * Runs the compiler of `CC`, by default `cc`, with the options of `CFLAGS` at the end.
 * @param {readonly string[]} options
 * @param {import("node:child_process").SpawnSyncOptions} how
 */
export function runCompiler(options, how) {
  const [command = "cc", ...parameters] = wordsOf(process.env.CC)
  return spawnSync(command, [...parameters, ...options, ...wordsOf(process.env.CFLAGS)], how)
}

/** The compiler as error messages name it. */
export function compilerName() {
  return wordsOf(process.env.CC).join(" ") || "cc"
}

/**
 * What the compiler compiles for, or undefined if it can't be run or isn't a compiler like gcc and clang.
 * @returns {{ bits: number, isLittleEndian: boolean, hasKernelHeaders: boolean } | undefined}
 */
export function targetOf() {
  const { status, stdout } = runCompiler(["-E", "-P", "-x", "c", "-"], { input: QUESTIONS, encoding: "utf8" })
  const found = /bits (\d+) endian (\d+) (\d+)/.exec(String(stdout))
  if (status !== 0 || found === null) return undefined
  const [, bytes, order, little] = found
  return {
    bits: Number(bytes) * 8,
    isLittleEndian: order === little,
    hasKernelHeaders: String(stdout).includes("has_kernel_headers"),
  }
}

/**
 * Options that add the kernel's headers behind those of a C library without them: Debian's `musl-gcc`.
 * @returns {string[]}
 */
export function kernelHeaderOptions() {
  const { stdout } = runCompiler(["-dumpmachine"], { encoding: "utf8" })
  const machine = String(stdout).trim()
  const ofCrossCompiler = `/usr/${machine}/include`
  const folders = existsSync(`${ofCrossCompiler}/linux`)
    ? [ofCrossCompiler]
    : ["/usr/include", `/usr/include/${machine}`]
  return folders.filter((folder) => existsSync(folder)).flatMap((folder) => ["-idirafter", folder])
}
