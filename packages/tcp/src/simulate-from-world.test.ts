import { fromWorld, testSimulated } from "./simulation.fixture.ts"

testSimulated("begun in the world", 0.5, fromWorld)
