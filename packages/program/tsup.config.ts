import { library } from "../../tsup.base.ts"

export default library({
  entry: ["src/bundles.ts", "src/command.ts", "src/data-path.ts", "src/launch.ts"],
  platform: "node",
  // What the entries have in common is there once: it knows which program it is.
  splitting: true,
})
