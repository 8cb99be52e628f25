import { join } from "node:path"
import { build } from "tsup"

/**
 * Bundles a program, from the sources of all packages, for what lacks the transforms of the test runner: a process, a
 * thread, another runtime, a page. Returns the path of the bundle, `NAME.mjs`.
 * @param {string} name
 * @param {string} source its path
 * @param {string} folder where the bundle is put
 * @param {import("tsup").Options} [options] others than those of a program for Node.js
 */
export async function bundle(name, source, folder, options) {
  await build({
    config: false,
    entry: { [name]: source },
    format: "esm",
    platform: "node",
    noExternal: [/./],
    external: [/\.node$/],
    splitting: false,
    outDir: folder,
    outExtension: () => ({ js: ".mjs" }),
    silent: true,
    esbuildOptions(settings) {
      settings.conditions = ["@demiflow/source"]
    },
    ...options,
  })
  return join(folder, `${name}.mjs`)
}
