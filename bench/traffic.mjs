// Drives the traffic generator, whose two ends are in a guest and in the world.
import { Program, processorSeconds, residentMemory, sum } from "./processes.mjs"

/** Grace period of a measurement beyond its expected duration, milliseconds. */
const PATIENCE = 15_000
/** Time allowed for the beginning of a flow when many begin, milliseconds. */
const SLOWEST_SET_UP = 2

/**
 * The counts of one stream's receiving end.
 * @typedef {{ run: number, bytes: number, seconds: number, total: number }} Count
 */

/**
 * @typedef {object} Transfer
 * @property {number} gigabits Per second, over all streams.
 * @property {number | undefined} processorSecondsPerGibibyte Of the peer's processes, if there are any.
 */

/** The servers, and their counts. */
export class World {
  #run = 0
  /** @type {Map<number, { counts: Count[], wanted: number, resolve: (counts: Count[]) => void }>} */
  #waiting = new Map()
  /** @type {() => void} */
  #begin = () => {}
  #ready = new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
    this.#begin = resolve
  })
  #program

  /**
   * @param {import("./topology.mjs").Place} place
   * @param {string} generator Path of the traffic generator.
   * @param {{ 4: string, 6: string }} addresses
   */
  constructor(place, generator, addresses) {
    this.addresses = addresses
    this.#program = new Program([...place, generator, "serve", addresses[4], addresses[6]], (line) => {
      if (line === "ready") this.#begin()
      else this.#take(JSON.parse(line))
    })
  }

  async ready() {
    const failed = this.#program.ended.then(() => {
      throw new Error(this.#program.complaint)
    })
    await Promise.race([this.#ready, failed])
  }

  async stop() {
    this.#program.kill()
    await this.#program.ended
  }

  nextRun() {
    return ++this.#run
  }

  /**
   * Resolves to a run's counts, once all of its streams are counted.
   * @param {number} run
   * @param {number} streams
   * @returns {Promise<Count[]>}
   */
  counts(run, streams) {
    return new Promise((resolve) => this.#waiting.set(run, { counts: [], wanted: streams, resolve }))
  }

  /** @param {Count} count */
  #take(count) {
    const waiting = this.#waiting.get(count.run)
    if (waiting === undefined) return
    waiting.counts.push(count)
    if (waiting.counts.length < waiting.wanted) return
    this.#waiting.delete(count.run)
    waiting.resolve(waiting.counts)
  }
}

/** The traffic between one guest and the world. */
export class Traffic {
  #world
  #guest
  #generator
  #warm
  #measured

  /**
   * @param {World} world
   * @param {import("./peers.mjs").Guest} guest
   * @param {string} generator
   * @param {{ warm: number, measured: number }} period Milliseconds.
   */
  constructor(world, guest, generator, { warm, measured }) {
    this.#world = world
    this.#guest = guest
    this.#generator = generator
    this.#warm = warm
    this.#measured = measured
  }

  get guest() {
    return this.#guest
  }

  /** Waits until the guest's network works. */
  async firstAnswer() {
    await this.#within(this.#program("ping", 4))
  }

  /** @param {number} streams @param {4 | 6} version */
  streamsUp(streams, version) {
    return this.#up("stream-up", version, streams, streams)
  }

  /** @param {number} streams @param {4 | 6} version */
  streamsDown(streams, version) {
    return this.#down("stream-down", version, streams)
  }

  /** @param {number} size */
  datagramsUp(size) {
    return this.#up("datagrams-up", 4, size, 1)
  }

  /** @param {number} size */
  datagramsDown(size) {
    return this.#down("datagrams-down", 4, size)
  }

  /** @param {number} flows */
  quicUp(flows) {
    return this.#up("quic-up", 4, flows, 1)
  }

  /** @param {number} flows */
  quicDown(flows) {
    return this.#down("quic-down", 4, flows)
  }

  /**
   * @param {"exchange" | `${"flooded" | "scattered-flood" | "inside-flood" | "busy" | "connect" | "datagram"}-exchange`} kind
   * @returns {Promise<{ rate: number, median: number, percentile99: number, failures: number }>}
   */
  async exchange(kind) {
    const [result] = await this.#within(this.#program(kind, 4, [0]))
    return result
  }

  /**
   * Opens many flows, and then measures how fast others begin beside them, and request-response over one of these.
   * @template T
   * @param {"datagram-flows" | "connections"} kind
   * @param {number} count
   * @param {() => T} whenOpen
   * @returns {Promise<{ opened: T, setUpRate: number, rate: number }>}
   */
  async manyFlows(kind, count, whenOpen) {
    /** @type {any[]} */
    const results = []
    const program = this.#program(kind, 4, [0, count], (line) => {
      results.push(line.startsWith("{") ? JSON.parse(line) : whenOpen())
      // The program has waited for this line, and holds the flows as long as its input is open.
      if (results.length === 1) program.child.stdin.write("\n")
      if (results.length === 3) program.child.stdin.end()
    })
    await this.#whole(program, count)
    const [opened, { rate: setUpRate }, { rate }] = results
    return { opened, setUpRate, rate }
  }

  /**
   * Opens UDP flows, and then further ones.
   * @template T
   * @param {number} first
   * @param {number} further
   * @param {() => T} whenOpen
   * @returns {Promise<{ opened: T, firstRate: number, furtherRate: number }>}
   */
  async newFlows(first, further, whenOpen) {
    /** @type {T[]} */
    const opened = []
    /** @type {any[]} */
    const results = []
    const program = this.#program("new-datagram-flows", 4, [0, first, further], (line) => {
      results.push(JSON.parse(line))
      if (results.length < 2) return
      opened.push(whenOpen())
      program.child.stdin.end()
    })
    await this.#whole(program, first + further)
    return { opened: opened[0], firstRate: results[0].rate, furtherRate: results[1].rate }
  }

  /** The peak resident memory of the peer's data path while traffic runs both ways. */
  async memoryUnderLoad() {
    const dataPath = this.#guest.dataPath()
    let most = residentMemory(dataPath)
    const timer = setInterval(() => {
      const { all, anonymous } = residentMemory(dataPath)
      most = { all: Math.max(most.all, all), anonymous: Math.max(most.anonymous, anonymous) }
    }, 50)
    try {
      await Promise.all([this.streamsUp(4, 4), this.streamsDown(4, 4)])
    } finally {
      clearInterval(timer)
    }
    return most
  }

  /**
   * The world counts. The guest sends until it is stopped.
   * @param {string} kind @param {4 | 6} version @param {number} number @param {number} streams
   */
  async #up(kind, version, number, streams) {
    const run = this.#world.nextRun()
    const began = processorSeconds(this.#guest.processes())
    const counts = this.#world.counts(run, streams)
    const program = this.#program(kind, version, [run, number])
    const failed = program.ended.then(() => {
      throw new Error(program.complaint)
    })
    try {
      return this.#transfer(began, await this.#timed(Promise.race([counts, failed])))
    } finally {
      program.kill()
      await program.ended
    }
  }

  /** @param {string} kind @param {4 | 6} version @param {number} number */
  async #down(kind, version, number) {
    const began = processorSeconds(this.#guest.processes())
    return this.#transfer(began, await this.#within(this.#program(kind, version, [this.#world.nextRun(), number])))
  }

  /** @param {number} began @param {readonly Count[]} counts @returns {Transfer} */
  #transfer(began, counts) {
    const processes = this.#guest.processes()
    const used = processorSeconds(processes) - began
    const gibibytes = sum(counts, ({ total }) => total) / 2 ** 30
    return {
      gigabits: sum(counts, ({ bytes, seconds }) => (seconds > 0 ? (bytes * 8) / seconds / 1e9 : 0)),
      // Less than a kernel tick is not significant.
      processorSecondsPerGibibyte: used > 0 && gibibytes > 0 ? used / gibibytes : undefined,
    }
  }

  /**
   * @param {string} kind @param {4 | 6} version
   * @param {readonly number[]} [numbers]
   * @param {(line: string) => void} [onLine]
   */
  #program(kind, version, numbers = [], onLine) {
    const period = numbers.length > 0 ? [this.#warm, this.#measured, ...numbers] : []
    return new Program(
      [...this.#guest.place, this.#generator, kind, this.#world.addresses[version], ...period.map(String)],
      onLine,
    )
  }

  /**
   * Waits for the end of a program that begins this number of flows.
   * @param {Program} program
   * @param {number} count
   */
  async #whole(program, count) {
    const ended = program.ended.then((status) => {
      if (status !== 0) throw new Error(program.complaint)
    })
    try {
      await this.#timed(ended, count * SLOWEST_SET_UP)
    } finally {
      program.kill()
      await program.ended
    }
  }

  /** @param {Program} program */
  async #within(program) {
    try {
      return await this.#timed(program.results())
    } finally {
      program.kill()
      await program.ended
    }
  }

  /**
   * @template T
   * @param {Promise<T>} promise
   * @param {number} [further] Milliseconds that it may take besides.
   * @returns {Promise<T>}
   */
  #timed(promise, further = 0) {
    return new Promise((resolve, reject) => {
      const most = this.#warm + this.#measured + PATIENCE + further
      const timer = setTimeout(() => reject(new Error("it took too long")), most)
      promise.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }
}
