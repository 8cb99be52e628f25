import { library } from "../../tsup.base.ts"

export default library({
  entry: ["src/bundles.ts", "src/command.ts", "src/data-path.ts", "src/launch.ts"],
  platform: "node",
  // Code that the entries share exists once: it holds the program's name.
  splitting: true,
})
