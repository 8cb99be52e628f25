/** Numbers of the descriptors that a data path is started with. */
export const DataPathDescriptor = {
  /** `DataPathSettings` are read from here, up to the end. */
  settings: 3,
  /** `DataPathReport` lines are written here. */
  report: 4,
  /** The network namespace; not open if the helper is to open it. */
  network: 5,
  /** A pidfd of the command's init, or of the process whose namespace it is; not open if there is neither. */
  process: 6,
  /** The connection to the helper that acts in the namespace. */
  namespace: 7,
  /** A pidfd of that helper. */
  helper: 8,
  /** The user namespace that the helper must join first; not open if there is none. */
  userNamespace: 9,
  /** Has the file system emptied, see `raiseWall`. */
  empty: 10,
  /** A pidfd of the process that empties it; not open if that isn't possible. */
  emptying: 11,
  /** The helper in the namespace ends when this one is closed. */
  helperLife: 12,
  /** The command's init ends when this one is closed. */
  initLife: 13,
} as const
