import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { collectGarbage } from '../../trees/store/gc.js';
import { currentNumber, listInstalled } from '../../trees/store/generations.js';
import { type StorePaths, storePaths } from '../../trees/store/paths.js';
import { trees } from './cli.js';
import { runProgram } from './rig.js';
import {
  assertSound,
  createStoreFixture,
  publishTool,
  publishTools,
  readTree,
  type StoreFixture,
} from './store-fixture.js';

/** A command that is killed, and the store it is given in. */
export interface Scenario {
  readonly name: string;
  readonly args: readonly string[];
  /** Whether there are the same generations however often it was killed; a repair makes a new one each time. */
  readonly sameNumbers?: false;
  /** Something is damaged until the command is done. */
  readonly damaged?: true;
  prepare(fixture: StoreFixture): Promise<void>;
}

/** Two generations, the second of which is current. */
async function installTools(fixture: StoreFixture): Promise<void> {
  await publishTools(fixture);
  await fixture.install('tool@1');
  await fixture.install('tool@2');
}

/** The five commands that change generations, installing twice: over an old version and into an empty store. */
export const scenarios: readonly Scenario[] = [
  {
    name: 'a first installation',
    args: ['install', 'tool@1'],
    prepare: async (fixture) => void (await publishTools(fixture)),
  },
  {
    name: 'an installation over another version',
    args: ['install', 'tool@2'],
    async prepare(fixture) {
      await publishTools(fixture);
      await fixture.install('tool@1');
    },
  },
  {
    name: 'an update of two apps and their base',
    args: ['update'],
    async prepare(fixture) {
      const { base, v1, v2 } = await publishTool(fixture);
      const on = { base: 'deb', tested: '12.0.0', range: '^12' };
      const other = await fixture.publisher.layer('other', '1.0.0', { 'usr/bin/other': 'other\n' }, on);
      const next = await fixture.publisher.base('deb', '12.1.0', { 'usr/bin/sh': '#!shell, fixed\n' });
      await fixture.publish([
        [null, base],
        [base, v1],
        [base, other],
      ]);
      await fixture.install('tool@1', { base: 'deb@12.0.0' });
      await fixture.install('other', { base: 'deb@12.0.0' });
      await fixture.publish([
        [v1, v2],
        [base, next],
      ]);
    },
  },
  {
    name: 'a rollback',
    args: ['rollback', 'tool', '1'],
    prepare: installTools,
  },
  {
    name: 'a collection',
    args: ['gc', '--keep', '0'],
    prepare: installTools,
  },
  {
    name: 'a repair',
    args: ['fsck', '--repair'],
    sameNumbers: false,
    damaged: true,
    async prepare(fixture) {
      await publishTools(fixture);
      await fixture.install('tool@1');
      appendFileSync(join(fixture.paths.rootfs('tool', 1), 'usr/bin/sh'), 'damaged\n');
    },
  },
  {
    name: 'a removal',
    args: ['rm', 'tool'],
    prepare: installTools,
  },
];

/** What an app is seen as: its version and every path of its tree. */
type Current = Readonly<Record<string, { version: string; tree: Record<string, string> }>>;

/** A scenario made ready: kill its command in copies of a store, and say whether what is left is sound. */
export interface Crash extends AsyncDisposable {
  readonly scenario: Scenario;
  readonly fixture: StoreFixture;
  /** Makes a fresh copy of the store to give the command in; the one before is deleted. */
  restore(): Promise<{ root: string; paths: StorePaths }>;
  /**
   * Asserts what must hold when the command was killed.
   * @returns `old`, `new`, or what is in between: `other new, tool old`
   */
  afterKill(paths: StorePaths): Promise<string>;
  /**
   * Asserts that the command, which failed, has left a sound store with the old generations, and nothing that gc would not
   * take away.
   */
  afterFailure(paths: StorePaths): Promise<void>;
  /** Gives the command once more and asserts that the store is what it is when nobody was killed. */
  finish(root: string): Promise<void>;
}

/**
 * @param options.parent where temporary directories are made
 * @param options.copyTo where copies of the store are made; default below that
 */
export async function createCrash(
  scenario: Scenario,
  { parent, copyTo }: { parent?: string; copyTo?: string } = {},
): Promise<Crash> {
  const fixture = await createStoreFixture(parent);
  try {
    await scenario.prepare(fixture);
    writePrecious(fixture.paths);
    const data = readTree(fixture.paths.data);
    const copyPath = copyTo ?? join(fixture.feed.dir, 'copy');
    const restore = async (): Promise<{ root: string; paths: StorePaths }> => {
      await rm(copyPath, { recursive: true, force: true });
      const result = await runProgram('cp', ['-a', fixture.root, copyPath]);
      assert.equal(result.status, 0, result.stderr);
      return { root: copyPath, paths: storesPaths(copyPath) };
    };

    const before = currentOf(fixture.paths);
    const collect = async (paths: StorePaths): Promise<string[]> => {
      await collectGarbage({ root: paths.root, lockTimeout: 60, command: 'gc', keep: 9, dryRun: false });
      return describeStore(paths, scenario).filter((line) => !/^(locks|feeds)\//.test(line) && !isFanOut(line));
    };
    const untouched = await collect((await restore()).paths);
    const undisturbed = await restore();
    const done = await trees(undisturbed.root, scenario.args);
    assert.equal(done.status, 0, done.stderr);
    await assertSound(undisturbed.paths);
    const after = currentOf(undisturbed.paths);
    const wanted = describeStore(undisturbed.paths, scenario);

    const seenIn = (paths: StorePaths): string[] => {
      assert.deepEqual(readTree(paths.data), data, 'data is as it was');
      const found = currentOf(paths);
      return [...new Set([...Object.keys(before), ...Object.keys(after)])].map((name) => {
        const isNew = isSame(found[name], after[name]);
        if (!isNew) assert.deepEqual(found[name], before[name], `${name} is whole, old or new`);
        return `${name} ${isNew ? 'new' : 'old'}`;
      });
    };

    return {
      scenario,
      fixture,
      restore,
      async afterKill(paths) {
        const seen = seenIn(paths);
        // Killed while the repository is created, there is nothing to look at yet.
        if (scenario.damaged !== true && hasRepository(paths)) await assertSound(paths);
        return seen.sort().join(', ');
      },
      async afterFailure(paths) {
        const seen = seenIn(paths);
        // What is damaged stays damaged, and a repository that was not there may be.
        if (scenario.damaged === true || !hasRepository(fixture.paths)) return;
        await assertSound(paths);
        // One of several apps may have been updated.
        if (seen.some((one) => one.endsWith(' new'))) return;
        const copied = `${copyPath}-collected`;
        await rm(copied, { recursive: true, force: true });
        const result = await runProgram('cp', ['-a', copyPath, copied]);
        assert.equal(result.status, 0, result.stderr);
        try {
          assert.deepEqual(
            await collect(storesPaths(copied)),
            untouched,
            'nothing is left that gc would not take away',
          );
        } finally {
          await rm(copied, { recursive: true, force: true });
        }
      },
      async finish(root) {
        const paths = storesPaths(root);
        const again = await trees(root, scenario.args);
        // A removal may have been done but for saying so.
        const gone = scenario.args[0] === 'rm' && again.stderr.includes('not installed');
        assert.ok(again.status === 0 || gone, again.stderr);
        assert.deepEqual(readTree(paths.data), data, 'data is as it was');
        assert.deepEqual(currentOf(paths), after);
        const found = describeStore(paths, scenario);
        assert.deepEqual(
          found.filter((line) => !isNameless(line)),
          wanted,
        );
        await assertSound(paths);
        // Others may be writing such files, so only who has the store to himself takes them away.
        if (!found.some(isNameless)) return;
        const collected = await trees(root, ['gc', '--keep', '9']);
        assert.equal(collected.status, 0, collected.stderr);
        assert.deepEqual(describeStore(paths, scenario).filter(isNameless), []);
      },
      [Symbol.asyncDispose]: async () => await fixture[Symbol.asyncDispose](),
    };
  } catch (error) {
    await fixture[Symbol.asyncDispose]();
    throw error;
  }
}

function storesPaths(root: string): StorePaths {
  return storePaths(join(root, 'var/lib/trees'));
}

function hasRepository(paths: StorePaths): boolean {
  return lstatSync(join(paths.repo, 'refs/heads'), { throwIfNoEntry: false }) !== undefined;
}

function writePrecious({ data }: StorePaths): void {
  mkdirSync(join(data, 'tool/volumes/db'), { recursive: true });
  writeFileSync(join(data, 'tool/volumes/db/precious'), 'mine\n');
  writeFileSync(join(data, 'tool/.trash-000000000000'), 'called like a leftover\n');
}

function currentOf(paths: StorePaths): Current {
  return Object.fromEntries(
    listInstalled(paths).map(({ name, current }) => [
      name,
      { version: current.version, tree: readTree(paths.rootfs(name, current.number)) },
    ]),
  );
}

function isSame(a: Current[string] | undefined, b: Current[string] | undefined): boolean {
  return a?.version === b?.version && JSON.stringify(a?.tree) === JSON.stringify(b?.tree);
}

/** Directories of the repository that are made when first needed and stay. */
function isFanOut(line: string): boolean {
  return /^repo\/(objects\/..|refs\/heads\/.*|tmp\/.*)\/$/.test(line);
}

/** A file that has not got its name yet, and what was collected to enter the repository. */
function isNameless(line: string): boolean {
  return /^(\.new-[0-9a-f]{12} |repo\/((\S+\/)?tmp\.\w{6}( |$)|tmp\/(trees-stage|staging)-))/.test(line);
}

/** Every path of a store with what it is and holds, but for times and who held a lock last. */
function describeStore(paths: StorePaths, { sameNumbers }: Scenario): string[] {
  const lines: string[] = [];
  const visit = (path: string): void => {
    for (const name of readdirSync(join(paths.root, path)).sort()) {
      const relative = join(path, name);
      // Only a note that saves time, made anew whenever the next update comes.
      if (relative === '.up-to-date.json') continue;
      // How fast bundles arrived.
      if (/^feeds\/[^/]+\/link\.json$/.test(relative)) continue;
      const full = join(paths.root, relative);
      const info = lstatSync(full);
      if (info.isDirectory()) {
        lines.push(`${relative}/`);
        visit(relative);
      } else if (info.isSymbolicLink()) {
        lines.push(`${relative} -> ${readlinkSync(full)}`);
      } else {
        lines.push(`${relative} ${digest(relative, readFileSync(full))}`);
      }
    }
  };
  visit('');
  if (sameNumbers !== false) return lines;
  const numbered = /^(apps\/tool|repo\/refs\/heads\/tree\/tool)\/(\d+)/;
  const current = currentNumber(paths, 'tool');
  return lines.flatMap((line) => {
    const number = numbered.exec(line)?.[2];
    if (number !== undefined && Number(number) !== current) return [];
    return line.replace(numbered, '$1/N').replace(/^(apps\/tool\/current -> ).*/, '$1N');
  });
}

/** Of files that hold a time, what does not depend on it. */
function digest(path: string, content: Buffer): string {
  if (path.startsWith('locks/') || path.endsWith('.lock')) return '';
  const text = content.toString('latin1').replace(/"(installed|fetched|number)": ?("[^"]*"|\d+)/g, '"$1"');
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
