/** Numbers of the descriptors that a data path is started with. */
export const DataPathDescriptor = {
  /** To read `DataPathSettings` from, to its end. */
  settings: 3,
  /** To write `DataPathReport` lines to. */
  report: 4,
  /** The network namespace; not there if the helper is to open it. */
  network: 5,
  /** A pidfd: of the command's init, or of the process whose namespace it is; not there if there is neither. */
  process: 6,
  /** To ask the helper that acts in the namespace. */
  namespace: 7,
  /** A pidfd of that helper. */
  helper: 8,
  /** The user namespace that the helper has to join first; not there if there is none. */
  userNamespace: 9,
  /** To have the file system emptied, see `raiseWall`. */
  empty: 10,
  /** A pidfd of the process that does so; not there if it isn't possible. */
  emptying: 11,
} as const
