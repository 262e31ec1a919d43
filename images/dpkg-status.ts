import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseStatus } from './deb.js';

const DATABASE = 'var/lib/dpkg';

/**
 * Records the packages of a layer as images without dpkg do: a stanza `status.d/NAME` and the digests of its files,
 * `status.d/NAME.md5sums`, which scanners read. dpkg's own database stays the base's: a layer that brought a copy would
 * hide, for ever, what later versions of its base record there.
 *
 * @param upper writable directory of the overlay, changed in place
 * @param lower the base
 */
export function splitStatus(upper: string, lower: string): void {
  const changed = join(upper, DATABASE, 'status');
  if (!existsSync(changed)) return;
  const before = join(lower, DATABASE, 'status');
  const below = existsSync(before) ? parseStatus(readFileSync(before, 'utf8')) : new Map<string, string>();
  for (const [key, stanza] of parseStatus(readFileSync(changed, 'utf8'))) {
    if (below.get(key) === stanza) continue;
    const [name = ''] = key.split(':');
    const record = join(upper, DATABASE, 'status.d', name);
    mkdirSync(join(upper, DATABASE, 'status.d'), { recursive: true, mode: 0o755 });
    writeFileSync(record, stanza, { mode: 0o644 });
    // Packages that may be installed for several architectures have theirs in the file's name.
    const sums = [name, key]
      .map((one) => join(upper, DATABASE, 'info', `${one}.md5sums`))
      .find((file) => existsSync(file));
    if (sums !== undefined) copyFileSync(sums, `${record}.md5sums`);
  }
}
