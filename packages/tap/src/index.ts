/** The guest side of demiflow: frames in, sequences out, and wrappers around links. */
export {}
