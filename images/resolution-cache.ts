import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../trees/errors.js';

/**
 * Remembers what apt printed for a question while the package lists stay the same: resolving takes a second or two, and
 * most builds find that nothing has changed.
 *
 * @param dir of the lists, see `apt.ts`
 * @param question everything besides the lists that the answer depends on
 */
export async function remembered(
  dir: string,
  question: readonly string[],
  ask: () => Promise<string>,
): Promise<string> {
  const directory = join(dir, `resolved-${listsDigest(join(dir, 'lists'))}`);
  const file = join(directory, sha256(JSON.stringify(question)));
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  const answer = await ask();
  for (const name of readdirSync(dir)) {
    if (name.startsWith('resolved-') && join(dir, name) !== directory) rmSync(join(dir, name), { recursive: true });
  }
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${file}.new`, answer);
  renameSync(`${file}.new`, file);
  return answer;
}

/** Release files list the digests of all package lists, so they stand for them. */
function listsDigest(lists: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(lists).sort()) {
    if (/_(InRelease|Release)$/.test(name)) hash.update(`${name}\0`).update(readFileSync(join(lists, name)));
  }
  return hash.digest('hex').slice(0, 16);
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
