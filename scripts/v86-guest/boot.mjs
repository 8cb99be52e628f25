// Boots the guest in v86, in this process, and saves its state once it waits for its network.
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { V86 } from "v86"
import { machine } from "../../examples/v86-relay/page/machine.mjs"

const READY = "Press Enter to connect."

/**
 * Writes `state` beside the other files.
 * @param {string} folder
 * @param {(text: string) => void} onOutput takes what the guest prints
 */
export async function saveState(folder, onOutput) {
  /** @param {string} name */
  const file = (name) => ({ buffer: new Uint8Array(readFileSync(join(folder, name))).buffer })
  const emulator = new V86({
    ...machine,
    wasm_path: join(fileURLToPath(import.meta.resolve("v86")), "../v86.wasm"),
    bios: file("bios.bin"),
    vga_bios: file("vgabios.bin"),
    bzimage: file("kernel"),
    initrd: file("initramfs"),
    autostart: true,
  })
  await new Promise((resolve) => {
    let output = ""
    emulator.add_listener("serial0-output-byte", (byte) => {
      const text = String.fromCharCode(byte)
      output += text
      onOutput(text)
      if (output.endsWith(READY)) resolve(undefined)
    })
  })
  await emulator.stop()
  writeFileSync(join(folder, "state"), new Uint8Array(await emulator.save_state()))
  await emulator.destroy()
}
