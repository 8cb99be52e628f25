/** What each process of the program runs first: see bin/start.js. */
export { runBundle } from "@demiflow/program/bundles"
