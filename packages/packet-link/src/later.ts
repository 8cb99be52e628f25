/**
 * Calls back soon, when the runtime has its turn. By an immediate where there are any: the loop of `@demiflow/sys`
 * waits for no promise.
 */
export function later(callback: () => void): void {
  const { setImmediate } = globalThis as { readonly setImmediate?: (callback: () => void) => unknown }
  if (setImmediate === undefined) Promise.resolve().then(callback)
  else setImmediate(callback)
}
