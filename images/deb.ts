import { open } from 'node:fs/promises';

/** The name under which apt keeps a downloaded package. */
export function debFileName(one: { name: string; version: string; arch: string }): string {
  return `${one.name}_${one.version.replaceAll(':', '%3a')}_${one.arch}.deb`;
}

const AR_MAGIC = '!<arch>\n';
/** Of an ar member's header: name 16 bytes, then the modification time as 12 decimal digits (ar(5), deb(5)). */
const DATE_OFFSET = AR_MAGIC.length + 16;
const DATE_LENGTH = 12;

/**
 * When a Debian package was built, in seconds since the epoch: the time of its first member, which dpkg-deb takes from
 * the changelog (`SOURCE_DATE_EPOCH`).
 */
export async function debDate(file: string): Promise<number> {
  const handle = await open(file, 'r');
  try {
    const header = Buffer.alloc(DATE_OFFSET + DATE_LENGTH);
    await handle.read(header, 0, header.length, 0);
    const date = Number(header.subarray(DATE_OFFSET).toString('latin1').trim());
    if (header.subarray(0, AR_MAGIC.length).toString('latin1') !== AR_MAGIC || !Number.isSafeInteger(date)) {
      throw new Error(`Expected ${file} to be a Debian package, got something else`);
    }
    return date;
  } finally {
    await handle.close();
  }
}

/** Newest of several packages; 0 for none. */
export async function newestDeb(files: readonly string[]): Promise<number> {
  const dates = await Promise.all(files.map(debDate));
  return dates.reduce((newest, date) => Math.max(newest, date), 0);
}

/** Splits a dpkg database into its stanzas by `NAME:ARCH`, without those of removed packages. */
export function parseStatus(content: string): Map<string, string> {
  const stanzas = new Map<string, string>();
  for (const stanza of content.split(/\n{2,}/)) {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
    if (field('Package') === '' || !field('Status').endsWith(' installed')) continue;
    stanzas.set(`${field('Package')}:${field('Architecture')}`, `${stanza.trim()}\n`);
  }
  return stanzas;
}

/** The version of an installed package. */
export function packageVersion(status: string, name: string): string | undefined {
  for (const [key, stanza] of parseStatus(status)) {
    if (key.startsWith(`${name}:`)) return /^Version: (.*)$/m.exec(stanza)?.[1];
  }
  return undefined;
}
