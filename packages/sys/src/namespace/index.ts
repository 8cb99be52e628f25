export { createHelperSocket, HelpedNamespace, helperSteps, startNamespaceHelper } from "./helped-namespace.ts"
export { type NetworkNamespace, VisitedNamespace } from "./network-namespace.ts"
export { NamespaceSockets } from "./sockets.ts"
