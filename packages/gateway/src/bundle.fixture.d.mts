import type { Options } from "tsup"

export declare function bundle(name: string, source: string, folder: string, options?: Options): Promise<string>
