/** Numbers of the descriptors that a data path is started with. */
export const DataPathDescriptor = {
  /** To read `DataPathSettings` from, to its end. */
  settings: 3,
  /** To write `DataPathReport` lines to. */
  report: 4,
  /** The network namespace. */
  network: 5,
  /** A pidfd: of the command's init, or of the process whose namespace it is; not there if there is neither. */
  process: 6,
} as const

/** First number that is free. */
export const FIRST_FREE = 7
