/** The flow table of demiflow, and the policy and rules that decide where a flow goes. */
export {}
