/**
 * Bundles of trees of your own against stock static deltas: sizes, and times to make and to apply them. Works on tmpfs,
 * so that CPU time is measured and not the disk; the times are wall-clock times of single runs.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { applyBundle, createBundle } from '../../../trees/delta/index.js';
import { assertSameCommit, initRepo, ostree, stockApply } from '../../support/delta-fixture.js';

interface Row {
  name: string;
  size: number;
  make: number;
  apply: number;
  stockApply: number | undefined;
}

function commit(repo: string, branch: string, tree: string): string {
  const options = ['--timestamp=2025-01-01T00:00:00Z', '--owner-uid=0', '--owner-gid=0'];
  return ostree('commit', `--repo=${repo}`, `--branch=${branch}`, `--tree=dir=${resolve(tree)}`, ...options).trim();
}

async function seconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/**
 * Prints the table.
 * @param first the tree, or with `second` the older one
 */
export async function compareTrees(first: string, second?: string): Promise<void> {
  const work = mkdtempSync('/dev/shm/trees-perf-');
  try {
    const repo = initRepo(join(work, 'repo'));
    const from = second === undefined ? undefined : commit(repo, 'old', first);
    const to = commit(repo, 'new', second ?? first);
    let fresh = 0;
    const receiver = (): string => {
      const path = initRepo(join(work, `receiver${fresh++}`));
      if (from !== undefined) {
        ostree('pull-local', `--repo=${path}`, repo, from);
        ostree('refs', `--repo=${path}`, '--create=old', from);
      }
      return path;
    };

    const rows: Row[] = [];
    const variants = [
      { name: 'fast', encoding: 'fast', quick: false },
      { name: 'fast --quick', encoding: 'fast', quick: true },
      { name: 'small', encoding: 'small', quick: false },
    ] as const;
    for (const { name, encoding, quick } of variants) {
      const output = join(work, `${encoding}${quick ? '-quick' : ''}.zst`);
      const make = await seconds(() => createBundle({ repoPath: repo, from, to, output, encoding, quick }));
      const mine = receiver();
      const apply = await seconds(() => applyBundle({ repoPath: mine, path: output, ref: 'new' }));
      assertSameCommit(mine, repo, to);
      const theirs = receiver();
      const stock = await seconds(() => stockApply(output, theirs));
      assertSameCommit(theirs, repo, to);
      rows.push({ name, size: statSync(output).size, make, apply, stockApply: stock });
      for (const path of [mine, theirs]) rmSync(path, { recursive: true });
    }

    const delta = join(work, 'stock.delta');
    const source = from === undefined ? ['--empty'] : [`--from=${from}`];
    const make = await seconds(() =>
      execFileSync('ostree', [
        'static-delta',
        'generate',
        `--repo=${repo}`,
        ...source,
        `--to=${to}`,
        '--min-fallback-size=0',
        '--inline',
        `--filename=${delta}`,
      ]),
    );
    const [mine, theirs] = [receiver(), receiver()];
    const apply = await seconds(() => applyBundle({ repoPath: mine, path: delta, ref: 'new' }));
    const stock = await seconds(() => ostree('static-delta', 'apply-offline', `--repo=${theirs}`, delta));
    const reference = { name: 'stock ostree', size: statSync(delta).size, make, apply, stockApply: stock };
    print([...rows, reference], reference);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function print(rows: readonly Row[], reference: Row): void {
  const columns = ['', 'bytes', 'of stock', 'make s', 'apply s', 'apply by stock ostree s'];
  console.log(columns.join('\t'));
  for (const { name, size, make, apply, stockApply } of rows) {
    const share = `${((100 * size) / reference.size).toFixed(1)} %`;
    console.log([name, size, share, make.toFixed(1), apply.toFixed(2), stockApply?.toFixed(2) ?? ''].join('\t'));
  }
}
