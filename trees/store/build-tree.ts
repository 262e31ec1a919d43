import { join } from 'node:path';
import * as z from 'zod/mini';
import { TreesError } from '../errors.js';
import type { Selection } from '../feed/select.js';
import type { Checksum, Commit } from '../ostree/types.js';
import { type RunSpec, runSpecSchema } from '../run/spec.js';
import { makeGeneration, switchCurrent } from './checkout.js';
import { composeTree } from './compose.js';
import { discardTree, removeIfEmpty, replaceFile } from './files.js';
import { currentNumber, findGeneration, GENERATION_FILE, type Generation, listGenerations } from './generations.js';
import { commitKey, refName } from './metadata.js';
import type { Store } from './store.js';
import { text } from './tree-commit.js';
import { whileArriving } from './whole.js';

/** What a generation is made of: a `Selection`, or less. */
export interface BuildSource {
  readonly name: string;
  readonly summary: string;
  readonly channel?: Selection['channel'];
  readonly feed: { readonly feed: { readonly name: string; readonly channel?: Selection['channel'] } };
  readonly app: {
    readonly version: string;
    readonly arch: string;
    readonly commit: Checksum;
    /** What the publisher tested it with and got; undefined where nobody says. */
    readonly base: { readonly tested: string; readonly tree: Checksum } | undefined;
  };
  readonly base: { readonly name: string; readonly version: { readonly version: string; readonly commit: Checksum } };
}

/**
 * Composes base and layer, which are in the store, makes a generation of the tree and makes it current. A generation of
 * the same tree that is there already (an earlier run was killed before the switch, or it was rolled back from) is taken.
 * The caller holds the app's lock and the store's shared lock, and has cleaned up leftovers.
 * @param options.fresh make a new generation even if there is one of this tree
 * @param options.anonymous the layer was made by other tools and does not say what it is
 * @returns the generation that is current now
 * @throws TreesError INDEX_INVALID if composing does not give what the publisher got, LAYER_INVALID
 */
export async function buildGeneration(
  store: Store,
  target: { readonly name: string; readonly selection: BuildSource },
  options: { fresh: boolean; anonymous?: boolean },
): Promise<Generation> {
  const { name, selection } = target;
  const layer = await store.repo.readCommit(selection.app.commit);
  if (options.anonymous !== true) checkIdentity(layer, selection);
  const run = readRunSpec(layer);
  const { tree, number } = await composeGeneration(store, target, options);
  // Stable is what is meant where nothing is said, unless the feed is set to something else.
  const said = selection.channel === 'edge' || selection.feed.feed.channel !== undefined;
  const channel = said && selection.channel !== undefined ? { channel: selection.channel } : {};
  const existing = findGeneration(store.paths, name, number);
  if (existing !== undefined) {
    const { channel: _, ...rest } = existing;
    const record: Generation = { ...rest, ...channel };
    if (record.channel !== existing.channel) {
      const file = join(store.paths.generation(name, number), GENERATION_FILE);
      await replaceFile(file, `${JSON.stringify(record, null, 2)}\n`);
    }
    await switchCurrent(store, name, number);
    return record;
  }
  const { base, app, feed } = selection;
  const generation: Omit<Generation, 'files' | 'size'> = {
    schema: 1,
    number,
    name,
    app: selection.name,
    version: app.version,
    arch: app.arch,
    summary: selection.summary,
    feed: feed.feed.name,
    ...channel,
    base: { name: base.name, version: base.version.version, commit: base.version.commit },
    layer: app.commit,
    tree,
    installed: new Date().toISOString(),
    run,
  };
  try {
    const made = await makeGeneration(store, generation);
    await switchCurrent(store, name, number);
    return made;
  } catch (error) {
    // Current all the same: only writing that to disk failed.
    if (currentNumber(store.paths, name) === number) throw error;
    await discardTree(store.paths.generation(name, number));
    await store.repo.setRef(refName.tree(name, number), undefined);
    await removeIfEmpty(store.paths.app(name));
    throw error;
  }
}

/** Composes within a transaction that also sets the generation's ref, so that no prune finds the tree unreferenced. */
async function composeGeneration(
  store: Store,
  { name, selection }: { readonly name: string; readonly selection: BuildSource },
  { fresh }: { fresh: boolean },
): Promise<{ tree: Checksum; number: number }> {
  await using transaction = await store.repo.beginTransaction({ signal: store.signal });
  const tree = await composeTree(store.repo, {
    base: selection.base.version.commit,
    layers: [selection.app.commit],
  });
  checkTree(tree, selection);
  const numbers = listGenerations(store.paths, name);
  const current = currentNumber(store.paths, name);
  const same = numbers.findLast(
    (number) => number !== current && findGeneration(store.paths, name, number)?.tree === tree,
  );
  const number = same === undefined || fresh ? (numbers.at(-1) ?? 0) + 1 : same;
  transaction.setRef(refName.tree(name, number), tree);
  await whileArriving(store.repo, tree, async () => await transaction.commit());
  return { tree, number };
}

/** Composition is deterministic, so on the base version that the publisher tested both must get the same tree. */
function checkTree(tree: Checksum, { name, app, base }: BuildSource): void {
  if (app.base === undefined || base.version.version !== app.base.tested || tree === app.base.tree) return;
  throw new TreesError(
    'INDEX_INVALID',
    `cannot install ${name} ${app.version}: composing it on ${base.name} ${base.version.version} gives tree ${tree}, ` +
      `the publisher got ${app.base.tree}`,
    { hint: 'tell the publisher; this version was not published as it was tested' },
  );
}

/** The index and the commit are signed each on its own; together they must speak of the same thing. */
function checkIdentity(layer: Commit, { name, app }: BuildSource): void {
  const expected = [
    [commitKey.kind, 'layer'],
    [commitKey.name, name],
    [commitKey.version, app.version],
    [commitKey.arch, app.arch],
  ] as const;
  for (const [key, value] of expected) {
    const found = text(layer, key);
    if (found !== value) {
      throw new TreesError(
        'LAYER_INVALID',
        `cannot install ${name} ${app.version}: Expected ${key} of commit ${layer.checksum} to be "${value}", got ` +
          (found === undefined ? 'nothing' : JSON.stringify(found)),
        { hint: 'tell the publisher; the index lists a commit of something else' },
      );
    }
  }
}

/** How an app runs, from its layer or its composed tree. @throws TreesError LAYER_INVALID */
export function readRunSpec(layer: Commit): RunSpec {
  const json = text(layer, commitKey.run);
  if (json === undefined) return {};
  const invalid = (why: string, cause: unknown): TreesError =>
    new TreesError('LAYER_INVALID', `cannot read how the app runs (${commitKey.run} of ${layer.checksum}): ${why}`, {
      hint: 'it may be made for a newer trees; update trees, or tell the publisher',
      cause,
    });
  let content: unknown;
  try {
    content = JSON.parse(json);
  } catch (cause) {
    throw invalid(String(cause), cause);
  }
  // `z.core` would bring the messages of all languages into the bundle.
  const result = runSpecSchema.safeParse(content);
  if (!result.success) throw invalid(z.prettifyError(result.error), result.error);
  return result.data;
}
