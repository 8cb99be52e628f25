/** The program as one file, in each of its processes: see one-file.ts of @demiflow/program. */
import { getRawAsset } from "node:sea"
import { beOneFile } from "@demiflow/program/command"
import { useNativeContents } from "@demiflow/sys"

useNativeContents((name) => new Uint8Array(getRawAsset(name) as ArrayBuffer))
void (beOneFile() ? import("./data-path.ts") : import("./main.ts"))
