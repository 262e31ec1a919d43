/** Configuration, pruning and checking. */
import {
  checkArray,
  checkBoolean,
  checkChecksum,
  checkFunction,
  checkInteger,
  checkNonEmpty,
  checkObject,
  checkOneOf,
  checkOptionalBoolean,
  checkOptions,
  checkSignal,
  checkString,
  invalid,
} from './arguments.js';
import { alone, checkTimeout, type RepoState, shared } from './repo-state.js';
import type { FsckOptions, FsckProblem, MinFreeSpace, PruneOptions, PruneResult } from './types.js';

const SECTION = /^[^[\]\p{Cc}]+$/u;
const KEY = /^[^=[\]\s\p{Cc}][^=[\]\p{Cc}]*(?<!\s)$/u;

export async function getConfig(repo: RepoState, section: string, key: string): Promise<string | undefined> {
  checkConfigName(section, key);
  return shared(repo, undefined, (handle) => repo.native.getConfig(handle, section, key));
}

export async function setConfig(
  repo: RepoState,
  section: string,
  key: string,
  value: string | undefined,
): Promise<void> {
  checkConfigName(section, key);
  const text = value === undefined ? undefined : checkString(value, 'value');
  await alone(repo, undefined, async (handle) => {
    // libostree would release a lock that the new settings say was never taken, and abort the process over it.
    if (repo.transaction !== undefined || repo.inTransaction || repo.locks.size > 0) {
      throw new TypeError('Expected this to be a Repo without open transaction or lock, got one that holds one');
    }
    await repo.native.setConfig(handle, section, key, text);
  });
}

function checkConfigName(section: unknown, key: unknown): void {
  if (!SECTION.test(checkNonEmpty(section, 'section'))) throw invalid('section', 'a key file group name', section);
  if (!KEY.test(checkNonEmpty(key, 'key'))) throw invalid('key', 'a key file key', key);
}

export async function setMinFreeSpace(repo: RepoState, limit: MinFreeSpace | undefined): Promise<void> {
  let percent: string | undefined;
  let size: string | undefined;
  if (limit !== undefined) {
    const input = checkObject(limit, 'limit');
    if ('percent' in input) {
      percent = String(checkInteger(input['percent'], 'limit.percent', 0, 99));
    } else {
      const unit = checkOneOf(input['unit'], 'limit.unit', ['MB', 'GB', 'TB']);
      size = `${checkInteger(input['size'], 'limit.size', 0, 1_000_000)}${unit}`;
    }
  }
  // libostree looks at the size first and refuses to open a repository that has both.
  if (size === undefined) {
    await setConfig(repo, 'core', 'min-free-space-size', undefined);
    await setConfig(repo, 'core', 'min-free-space-percent', percent);
  } else {
    await setConfig(repo, 'core', 'min-free-space-percent', undefined);
    await setConfig(repo, 'core', 'min-free-space-size', size);
  }
}

export async function setFsync(repo: RepoState, enabled: boolean): Promise<void> {
  checkBoolean(enabled, 'enabled');
  await alone(repo, undefined, async (handle) => {
    repo.native.setDisableFsync(handle, !enabled);
  });
}

export async function prune(repo: RepoState, options?: PruneOptions): Promise<PruneResult> {
  const { refsOnly, depth, dryRun, lockTimeout, signal } = checkOptions(options, 'options', [
    'refsOnly',
    'depth',
    'dryRun',
    'lockTimeout',
    'signal',
  ]);
  const onlyRefs = checkOptionalBoolean(refsOnly, 'options.refsOnly');
  const levels = checkInteger(depth ?? -1, 'options.depth', -1, 0x7fff_ffff);
  const count = checkOptionalBoolean(dryRun, 'options.dryRun');
  const timeout = checkTimeout(lockTimeout, 'options.lockTimeout');
  return alone(repo, checkSignal(signal, 'options.signal'), (handle, token) => {
    // The transaction may rely on objects that nothing refers to yet.
    if (repo.inTransaction) {
      throw new TypeError('Expected this to be a Repo without an open transaction, got one that has one');
    }
    return repo.native.prune(handle, onlyRefs, levels, count, timeout, token);
  });
}

export async function fsck(repo: RepoState, options?: FsckOptions): Promise<FsckProblem[]> {
  const { commits, onProgress, signal } = checkOptions(options, 'options', ['commits', 'onProgress', 'signal']);
  const checked =
    commits === undefined
      ? undefined
      : checkArray(commits, 'options.commits').map((item, index) => checkChecksum(item, `options.commits[${index}]`));
  if (onProgress !== undefined) checkFunction(onProgress, 'options.onProgress');
  return shared(repo, checkSignal(signal, 'options.signal'), (handle, token) =>
    repo.native.fsck(handle, checked, onProgress, token),
  );
}
