/** Of 4 bits each, as in `trees/launcher/plan.c`. */
const table = Uint32Array.from({ length: 16 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 4; bit++) value = (value >>> 1) ^ ((value & 1) * 0xedb8_8320);
  return value;
});

/** CRC-32 as zlib's, without loading all of it for a few kilobytes: that takes longer. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    crc = (crc >>> 4) ^ (table[crc & 15] ?? 0);
    crc = (crc >>> 4) ^ (table[crc & 15] ?? 0);
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}
