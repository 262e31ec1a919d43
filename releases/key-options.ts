import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Context } from '../trees/cli/command.js';
import { reasonOf, TreesError } from '../trees/errors.js';

/** Option of every command that reads a secret key. */
export const passwordFile = {
  type: 'string',
  value: 'FILE',
  complete: 'file',
  describe: 'first line is the password of the secret key (or TREES_KEY_PASSWORD)',
} as const;

/** Option of commands that write a file; what it is by default belongs into its description. */
export const outputFile = { type: 'string', alias: 'o', value: 'FILE', complete: 'file' } as const;

/** The password that the user gave for a secret key, if any. */
export async function readPassword(context: Context, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return context.env['TREES_KEY_PASSWORD'];
  const path = resolve(context.cwd, file);
  try {
    return (await readFile(path, 'utf8')).split(/\r?\n/)[0];
  } catch (error) {
    const why = reasonOf(error);
    throw new TreesError('KEY_INVALID', `cannot read the password file ${path}: ${why}`, {
      hint: 'its first line is the password',
      cause: error,
    });
  }
}
