import { testSimulated } from "./simulation.fixture.ts"

testSimulated("as it comes", 1, (scenario) => scenario)
