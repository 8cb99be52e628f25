import { library } from "../../tsup.base.ts"

// An optional dependency: it would be bundled otherwise.
export default library({ platform: "node", external: ["@demiflow/sys"] })
