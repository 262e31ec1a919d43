/** `(taya{sv})`: a static delta with Ed25519 signatures over its bytes, as `ostree static-delta generate --sign` makes it. */
export function signedDelta(delta: Buffer, signatures: readonly Buffer[]): Buffer {
  const pad = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
  const ends = (sizes: readonly number[]): Buffer => Buffer.from(sizes);
  const value = Buffer.concat([...signatures, ends(signatures.map((_, index) => (index + 1) * 64))]);
  const key = Buffer.from('ostree.sign.ed25519\0');
  const entry = Buffer.concat([pad(key), value, Buffer.from('\0aay'), ends([key.length])]);
  const dictionary = Buffer.concat([entry, ends([entry.length])]);
  const inner = Buffer.concat([Buffer.from('OSTSGNDT'), delta]);
  const end = Buffer.alloc(inner.length > 60_000 ? 4 : 2);
  end.writeUIntLE(inner.length, 0, end.length);
  return Buffer.concat([pad(inner), dictionary, end]);
}
