import { congested, testSimulated } from "./simulation.fixture.ts"

testSimulated("over a link that is congested again and again", 0.5, congested)
