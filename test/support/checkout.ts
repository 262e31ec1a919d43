/** What the tests of checking out share. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { TreesError } from '../../trees/errors.js';
import { Repo } from '../../trees/ostree/index.js';
import { type NativeCheckout, type NativeCheckoutResult, runNative } from '../../trees/store/addon.js';

export const asRoot = process.geteuid?.() === 0;

/** A new repository below a directory. */
export async function createRepo(mode: 'bare' | 'bare-user', directory: string): Promise<string> {
  const path = mkdtempSync(join(directory, 'repo-'));
  (await Repo.create(join(path, 'repo'), { mode })).close();
  return join(path, 'repo');
}

/** Checks a commit out into a new directory below `options.below`. */
export async function checkout(
  repo: string,
  commit: string,
  options: Partial<NativeCheckout> & { below: string },
): Promise<NativeCheckoutResult & { path: string }> {
  const { below, ...more } = options;
  const path = mkdtempSync(join(below, 'tree-'));
  const directory = openSync(path, 'r');
  try {
    const result = await runNative(
      async (native, job) =>
        await native.checkout(job, {
          repositories: [repo],
          commit,
          user: false,
          directory,
          fresh: true,
          merge: false,
          force: false,
          copy: false,
          threads: 3,
          ...more,
        }),
      { what: 'cannot check out', ioCode: 'STORE_UNUSABLE' },
    );
    return { ...result, path };
  } finally {
    closeSync(directory);
  }
}

export function isError(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof TreesError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}
