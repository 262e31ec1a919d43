import greater from 'semver/functions/gt.js';
import satisfies from 'semver/functions/satisfies.js';
import { applyBundle, type BundleInfo, bundleInfo } from '../delta/index.js';
import { TreesError, usageError } from '../errors.js';
import type { PublicKey } from '../feed/minisign.js';
import { rootTreeOf } from '../ostree/commit-facts.js';
import type { Checksum, Metadata } from '../ostree/types.js';
import { type BuildSource, buildGeneration } from './build-tree.js';
import { type FileIdentity, type IdentityOptions, identify } from './file-identity.js';
import { findTrust } from './file-trust.js';
import { type Generation, isAppName, listInstalled, readInstalled } from './generations.js';
import { cleanLeftovers } from './leftovers.js';
import { refName } from './metadata.js';
import { ensureNoBase, NO_BASE } from './no-base.js';
import { readPin } from './pins.js';
import { estimateSpace, requireSpace } from './space.js';
import { openStore, type Store, type StoreOptions } from './store.js';
import { isPlainDelta, type UnpackedDelta, unpackDelta } from './unpack-delta.js';
import { clearMarks, whileArriving, wholeCommits } from './whole.js';

export interface InstallFileOptions extends StoreOptions, IdentityOptions {
  /** As the user named it. */
  readonly file: string;
  /** Where its bytes are; default: `file`. */
  readonly path?: string | undefined;
  /** Keys to trust beside those of the store's feeds. */
  readonly keys: readonly PublicKey[];
  /** Take a commit that nobody signed. */
  readonly trustUnsigned: boolean;
  /** Checksum that the root directory of its tree has to have, where that is known. */
  readonly rootTree?: string | undefined;
  /** Only say what would be done. */
  readonly dryRun: boolean;
}

export interface InstalledFile {
  /** `unchanged`: it was there already and nothing was done. */
  readonly action: 'installed' | 'unchanged';
  readonly identity: FileIdentity;
  readonly from: Checksum | null;
  readonly to: Checksum;
  /** Id of the key that signed the commit. */
  readonly signedBy: string | undefined;
  /** Feed whose key that is: where updates come from. */
  readonly feed: string | undefined;
  /** The base that an app goes on. */
  readonly base: { readonly name: string; readonly version: string } | undefined;
  /** What is current now, unless it is a base. */
  readonly generation: Generation | undefined;
  readonly previous: Generation | undefined;
  readonly bytesWritten: number;
}

/**
 * Installs from a file instead of a feed: bundles of bases and layers, inline deltas of stock ostree, and tars of the
 * original project. What other tools made becomes an app with no base (`none`). All or nothing, as `installApp`.
 * @throws TreesError BUNDLE_UNREADABLE, BUNDLE_CORRUPT, UNSUPPORTED, FEED_UNTRUSTED (unsigned), SIGNATURE_INVALID,
 *   BASE_NOT_FOUND, VERSION_NOT_FOUND (its source is not here; the pin), PATH_CONFLICT, NO_SPACE, USAGE
 */
export async function installFile(options: InstallFileOptions): Promise<InstalledFile> {
  const { path = options.file, signal } = options;
  // What is no bundle does not even make a store.
  const early = (await isPlainDelta(path)) ? await bundleInfo(path, { signal }) : undefined;
  using store = await openStore(options);
  await using unpacked = await unpackDelta(path, store.paths.downloads);
  const info = early ?? (await bundleInfo(unpacked.path, { signal }));
  checkName(info, unpacked, options.file);
  checkTree(info, options);
  const identity = identify(info, options.file, options);
  const trust = await findTrust(info, unpacked, options);
  const app = identity.kind === 'base' ? undefined : chooseName(store, identity, options);
  using _app = app === undefined ? undefined : await store.lockApp(app);
  using _store = await store.lockStore('shared');
  if (app !== undefined) await cleanLeftovers(store, app);
  await clearMarks(store.repo);
  await requireSource(store, info, options.file);
  const base = await chooseBase(store, identity, options);
  const { root } = store.paths;
  requireSpace(
    root,
    await estimateSpace(root, { fetch: 0, write: info.writes, files: 2 * info.objects, objects: info.objects }),
  );
  const { from, to } = info;
  const before = app === undefined ? undefined : readInstalled(store.paths, app)?.current;
  const action = (await isInstalled(store, { identity, to, base, before })) ? 'unchanged' : 'installed';
  const result = {
    action,
    identity,
    from,
    to,
    signedBy: trust?.key.id,
    feed: trust?.feed,
    base,
    previous: undefined,
  } as const;
  if (action === 'unchanged') return { ...result, generation: before, bytesWritten: 0 };
  if (options.dryRun) return { ...result, generation: undefined, bytesWritten: 0 };
  const bytesWritten = await apply(store, unpacked, { info, identity, options });
  if (app === undefined || base === undefined) return { ...result, generation: undefined, bytesWritten };
  const commit = base.commit ?? (await ensureNoBase(store, identity.arch));
  const selection: BuildSource = {
    feed: { feed: { name: trust?.feed ?? '' } },
    name: identity.name,
    summary: identity.kind === 'layer' ? identity.summary : '',
    app: { version: identity.version, arch: identity.arch, commit: to, base: undefined },
    base: { name: base.name, version: { version: base.version, commit } },
  };
  const anonymous = identity.kind === 'tree';
  const generation = await buildGeneration(store, { name: app, selection }, { fresh: false, anonymous });
  return { ...result, generation, previous: before?.number === generation.number ? undefined : before, bytesWritten };
}

interface Wanted {
  readonly identity: FileIdentity;
  readonly to: Checksum;
  readonly base: ChosenBase | undefined;
  readonly before: Generation | undefined;
}

async function isInstalled({ repo }: Store, { identity, to, base, before }: Wanted): Promise<boolean> {
  if (!(await wholeCommits(repo)).has(to)) return false;
  const { kind, name, arch, version } = identity;
  if (kind === 'base') return (await repo.listRefs()).get(refName.base(name, arch, version)) === to;
  return before?.layer === to && before.base.name === base?.name && before.base.version === base.version;
}

function checkName(info: BundleInfo, { to }: UnpackedDelta, file: string): void {
  if (to === undefined || to === info.to) return;
  throw new TreesError('BUNDLE_CORRUPT', `cannot install ${file}: it names commit ${to} and leads to ${info.to}`, {
    hint: 'fetch it again, or tell the publisher',
  });
}

function checkTree({ commitBytes }: BundleInfo, { rootTree, file }: InstallFileOptions): void {
  const found = rootTreeOf(commitBytes);
  if (rootTree === undefined || rootTree === found) return;
  const why = `its tree is ${found ?? 'none'}, what lies beside it says ${rootTree}`;
  throw new TreesError('BUNDLE_CORRUPT', `cannot install ${file}: ${why}`, {
    hint: 'it may just be being replaced: try again, or tell the publisher',
    details: { expected: rootTree, found },
  });
}

/** The name to install an app under. */
function chooseName({ paths }: Store, identity: FileIdentity, options: InstallFileOptions): string {
  const name = options.name ?? identity.name;
  if (!isAppName(name)) {
    throw usageError(
      `Expected --name to be lowercase letters, digits, ".", "_" and "-", starting with a letter or digit, got "${name}"`,
    );
  }
  const current = readInstalled(paths, name)?.current;
  if (current !== undefined && current.app !== identity.name) {
    throw new TreesError('PATH_CONFLICT', `cannot install ${identity.name} as "${name}": that is ${current.app}`, {
      hint: 'choose another name with --name',
    });
  }
  const pin = readPin(paths, name);
  if (pin !== undefined && !satisfies(identity.version, pin.range)) {
    throw new TreesError(
      'VERSION_NOT_FOUND',
      `cannot install ${identity.name} ${identity.version} as "${name}": it is pinned to ${pin.range}`,
      { hint: `trees unpin ${name} lets it go` },
    );
  }
  return name;
}

async function requireSource(store: Store, { from }: BundleInfo, file: string): Promise<void> {
  if (from === null || (await wholeCommits(store.repo)).has(from)) return;
  throw new TreesError(
    'VERSION_NOT_FOUND',
    `cannot install ${file}: it starts from commit ${from}, which is not here`,
    {
      hint: 'install the bundle that leads to that commit first, or a complete one',
      details: { from },
    },
  );
}

interface ChosenBase {
  readonly name: string;
  readonly version: string;
  /** Undefined for the empty base, which need not be there yet. */
  readonly commit: Checksum | undefined;
}

/** The base here that a layer can go on: the newest that apps use, or else the newest. */
async function chooseBase(
  { repo, paths }: Store,
  identity: FileIdentity,
  { file }: InstallFileOptions,
): Promise<ChosenBase | undefined> {
  if (identity.kind === 'base') return undefined;
  if (identity.kind === 'tree') return { ...NO_BASE, commit: undefined };
  const { name, range } = identity.base;
  const inUse = new Set(listInstalled(paths, () => undefined).map(({ current }) => current.base.commit));
  const whole = await wholeCommits(repo);
  const prefix = `base/${name}/${identity.arch}`;
  const here = [...(await repo.listRefs(prefix))].flatMap(([ref, commit]) => {
    const version = ref.slice(prefix.length + 1);
    return satisfies(version, range) && whole.has(commit) ? [{ name, version, commit }] : [];
  });
  const newest = (list: readonly ChosenBase[]): ChosenBase | undefined =>
    list.toSorted((a, b) => (greater(a.version, b.version) ? -1 : 1))[0];
  const best = newest(here.filter(({ commit }) => inUse.has(commit))) ?? newest(here);
  if (best !== undefined) return best;
  throw new TreesError(
    'BASE_NOT_FOUND',
    `cannot install ${file}: it goes on base ${name}@${range}, which is not here`,
    {
      hint: `install a bundle of ${name} first: trees bundle install FILE`,
      details: { base: name, range },
    },
  );
}

async function apply(
  store: Store,
  unpacked: UnpackedDelta,
  { info, identity, options }: { info: BundleInfo; identity: FileIdentity; options: InstallFileOptions },
): Promise<number> {
  const { name, arch, version } = identity;
  const ref = identity.kind === 'base' ? refName.base(name, arch, version) : refName.layer(name, arch, version);
  using task = store.reporter.task(`apply ${options.file}`, { total: info.writes, unit: 'bytes' });
  const { bytesWritten } = await whileArriving(
    store.repo,
    info.to,
    async () =>
      await applyBundle({
        repoPath: store.paths.repo,
        path: unpacked.path,
        expect: { size: info.size, from: info.from, to: info.to },
        ref,
        // It may have been replaced since we looked.
        verifyCommit: async (commitBytes: Uint8Array, detached: Metadata | undefined) => {
          await findTrust({ ...info, commitBytes, detached }, unpacked, options);
        },
        onProgress: ({ done }) => task.update(done),
        signal: store.signal,
      }),
  );
  task.done();
  return bytesWritten;
}
