// The machine that a guest's state belongs to: a page that resumes it has to have the same.

/** Options of v86, besides the files. */
export const machine = {
  // v86 loads an initramfs behind 64 MiB.
  memory_size: 128 << 20,
  vga_memory_size: 2 << 20,
  cmdline: "console=ttyS0 loglevel=1 acpi=off pnpbios=off mitigations=off tsc=reliable",
  net_device: /** @type {const} */ ({ type: "virtio" }),
}
