/** The command that the user starts. */
export {}
