/** Why a flow ended. */
export const FlowEnd = {
  /** Both ends have finished, or its protocol has no use for it any more. */
  done: 0,
  /** One end, or an error on the way, has ended it early: a reset, a refused connection. */
  aborted: 1,
  /** A time was over: nobody answered, or nobody said anything for so long. */
  timedOut: 2,
  /** It made room for another flow. */
  gaveWay: 3,
  /** The guest is gone, or the stack has ended all flows. */
  stopped: 4,
  /** Its handler has thrown. */
  failed: 5,
} as const
/** One of {@link FlowEnd}. */
export type FlowEndId = (typeof FlowEnd)[keyof typeof FlowEnd]
