/** Memory and descriptors stay flat over many rounds of everything. Bounds are on growth, never on absolute values. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { projectRoot, Scratch, seededRepo } from '../support/ostree.js';

const MEGABYTE = 1024 * 1024;
const entry = JSON.stringify(new URL('../../trees/ostree/index.ts', import.meta.url).href);

interface Sample {
  readonly rss: number;
  readonly fds: number;
  readonly threads: number;
}

/** Runs `body` (statements that use `repo`, `round`) many times in a process of its own. */
function grow(path: string, rounds: number, body: string): { before: Sample; after: Sample } {
  const code = `
    import { readdirSync } from 'node:fs';
    import { MutableTree, Repo, variant } from ${entry};
    const path = ${JSON.stringify(path)};
    const sample = async () => {
      for (let index = 0; index < 4; index += 1) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 20)); }
      return { rss: process.memoryUsage().rss, fds: readdirSync('/proc/self/fd').length, threads: readdirSync('/proc/self/task').length };
    };
    const repo = await Repo.open(path);
    await repo.setFsync(false);
    const commit = await repo.resolveRev('main');
    const run = async (count) => { for (let round = 0; round < count; round += 1) { ${body} } };
    await run(${Math.ceil(rounds / 3)});
    const before = await sample();
    await run(${rounds});
    const after = await sample();
    process.stdout.write(JSON.stringify({ before, after }));`;
  const result = spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', code], {
    encoding: 'utf8',
    cwd: projectRoot,
    // One arena: otherwise every thread's own makes memory look as if it grew.
    env: { ...process.env, MALLOC_ARENA_MAX: '1', OSTREE_SUPPRESS_SYNCFS: '1' },
  });
  assert.equal(result.status, 0, result.stderr);
  const parsed: { before: Sample; after: Sample } = JSON.parse(result.stdout);
  return parsed;
}

const cases: Record<string, { rounds: number; body: string }> = {
  'reading objects': {
    rounds: 900,
    body: `const info = await repo.readCommit(commit); const tree = await repo.readDirTree(info.rootTree); await repo.readDirMeta(info.rootMeta);
      const file = tree.files[0].checksum; await repo.readFileInfo(file); await repo.readFile(file); await repo.readCommitBytes(commit);
      await repo.listRefs(); await repo.getConfig('core', 'mode'); await repo.commitSize(commit);
      for await (const chunk of repo.readFileStream(file, { chunkSize: 7 })) if (chunk.length < 7) break;
      for await (const item of repo.walk('main')) if (item.path === '/usr') break;`,
  },
  errors: {
    rounds: 1200,
    body: `await repo.resolveRev('none').catch(() => {}); await repo.readFile('0'.repeat(64)).catch(() => {}); await repo.checkout('none', '/nonexistent/x').catch(() => {});
      await repo.fsck({ signal: AbortSignal.abort() }).catch(() => {}); await Repo.open('/nonexistent').catch(() => {}); await repo.applyDelta('/dev/null').catch(() => {});`,
  },
  'opening and closing': {
    rounds: 400,
    body: `const other = await Repo.open(path); const lock = await other.lock('shared'); if (round % 2) lock[Symbol.dispose]();
      const transaction = await other.beginTransaction(); if (round % 3) await transaction.abort(); other.close();
      const tree = await MutableTree.fromCommit(repo, 'main'); await tree.list('/usr'); await tree.remove('/etc'); await tree.lookup('/etc'); if (round % 2) tree.close();
      if (round % 4 === 0) await Repo.open(path);`,
  },
  writing: {
    rounds: 90,
    body: `const transaction = await repo.beginTransaction();
      await repo.writeFile({ kind: 'regular', content: Buffer.alloc(100000, round % 5), uid: 0, gid: 0, mode: 0o644, xattrs: [{ name: Buffer.from('user.x'), value: Buffer.from('y') }] });
      await repo.writeDetachedMetadata(commit, { a: variant('a{sv}', { b: variant('(sas)', ['x', ['y']]) }) });
      await repo.commitDirectory(path + '-source', { timestamp: 1, filter: (name) => name !== '/etc/link', exclude: [/none/], overrides: new Map([['/usr', { mode: 0o700 }]]) });
      transaction.setRef('x', commit); if (round % 2) await transaction.commit(); else await transaction.abort();
      await repo.diff(undefined, commit); await repo.fsck({ onProgress: () => {} });`,
  },
};

for (const [name, { rounds, body }] of Object.entries(cases)) {
  test(`${name} leaks neither memory nor descriptors nor threads`, async () => {
    using scratch = new Scratch();
    const { repo, path } = await seededRepo(scratch, 'archive');
    repo.close();
    const { before, after } = grow(path, rounds, body);
    const grown = (after.rss - before.rss) / MEGABYTE;
    assert.ok(grown < 12, `memory grew by ${grown.toFixed(1)} MB in ${rounds} rounds`);
    assert.ok(after.fds <= before.fds + 1, `descriptors: ${before.fds} before, ${after.fds} after`);
    assert.ok(after.threads <= before.threads + 1, `threads: ${before.threads} before, ${after.threads} after`);
  });
}
