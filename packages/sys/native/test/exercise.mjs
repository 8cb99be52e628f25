// Calls every function of the addon that works on memory, with good and with hostile arguments. Run by run.mjs under a
// sanitizer, which checks the memory accesses; the assertions here check the results.
//
//   node exercise.mjs ADDON SEED
import {
  askForWhatHoldsAddresses,
  attachToHostileThings,
  callWithNonsense,
  useClosedDescriptors,
  useMemoryOutside,
} from "./hostile.mjs"
import { leaveRingsToThread, moveThroughRings } from "./rings.mjs"
import { askForTerminals, carryOutSteps, carryOutStepsHere, refuseSteps } from "./steps.mjs"
import { connect, moveFrames, openFiles, poll, sendDatagrams, splice, sumAndCopy, wait, work } from "./working.mjs"

attachToHostileThings()
askForWhatHoldsAddresses()
useMemoryOutside()
useClosedDescriptors()
sumAndCopy()
moveFrames()
moveThroughRings()
connect()
sendDatagrams()
splice()
wait()
openFiles()
carryOutSteps()
carryOutStepsHere()
askForTerminals()
refuseSteps(Number(process.argv[3] ?? 1))
callWithNonsense(Number(process.argv[3] ?? 1))
await poll()
await work()
await leaveRingsToThread()
process.stdout.write("exercised\n")
// A poll is still open, as may happen when a program ends.
process.exit(0)
