import { library } from "../../tsup.base.ts"

// Split, so that both entries share one copy of each class.
export default library({ entry: ["src/index.ts", "src/compliance/index.ts"], splitting: true })
