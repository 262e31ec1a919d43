import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseStatus } from './deb.js';

const STATUS = 'var/lib/dpkg/status';
const STATUS_DIR = 'var/lib/dpkg/status.d';

/**
 * Records the packages of a layer one file each in `/var/lib/dpkg/status.d`, as images without dpkg do and scanners
 * read. A layer that brought the whole database would hide, for ever, what later versions of its base record there.
 *
 * @param upper writable directory of the overlay, changed in place
 * @param lower the base
 */
export function splitStatus(upper: string, lower: string): void {
  const changed = join(upper, STATUS);
  if (!existsSync(changed)) return;
  const below = existsSync(join(lower, STATUS)) ? parseStatus(readFileSync(join(lower, STATUS), 'utf8')) : new Map();
  for (const [key, stanza] of parseStatus(readFileSync(changed, 'utf8'))) {
    if (below.get(key) === stanza) continue;
    mkdirSync(join(upper, STATUS_DIR), { recursive: true, mode: 0o755 });
    writeFileSync(join(upper, STATUS_DIR, key.replace(/:.*$/, '')), stanza, { mode: 0o644 });
  }
}
