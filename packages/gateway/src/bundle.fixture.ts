/** Bundles a program of the tests, for a process or a thread that doesn't have the transforms of the test runner. */
import { join } from "node:path"
import { build } from "tsup"

/** Returns the path of the bundle of `NAME.fixture.ts`. */
export async function bundleFixture(name: string, folder: string): Promise<string> {
  await build({
    config: false,
    entry: { [name]: join(import.meta.dirname, `${name}.fixture.ts`) },
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
  })
  return join(folder, `${name}.mjs`)
}
