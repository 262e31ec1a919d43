import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { stale } from './base.js';
import { type BuiltOn, commitImage, findBuilt } from './commit.js';
import type { BuildTree, ImageStep } from './container.js';
import { runInImage } from './container.js';
import type { BuildContext, BuildResult } from './context.js';
import { splitStatus } from './dpkg-status.js';
import { inputsDigest } from './inputs.js';
import { extractLayer } from './layer.js';
import type { LoadedDefinition } from './load.js';
import { newestFile } from './newest.js';
import { type PackagePlan, planPackages } from './packages.js';
import { type Payload, resolvePayload } from './payload.js';
import { checkPlaces, makeRules } from './rules.js';
import type { AppDefinition } from './schema.js';
import { apkStep, filesStep, packagesStep, payloadStep, scriptSteps } from './steps.js';
import { makeTree } from './tree.js';
import { readTreeFile } from './tree-file.js';
import { imageVersion } from './version-source.js';
import { makeWork, removeWork } from './workspace.js';

/** Written by `builders/mmdebstrap.ts`. */
const DPKG_SETTINGS = '/etc/dpkg/dpkg.cfg.d/trees';

type Loaded = LoadedDefinition & { readonly definition: AppDefinition };

/** Builds an app's layer on a base that is in the repository, unless its inputs are those of the last build. */
export async function buildApp(
  context: BuildContext,
  loaded: Loaded,
  base: { version: string; commit: string },
): Promise<Omit<BuildResult, 'seconds'>> {
  const { definition } = loaded;
  const { build } = definition;
  const ofBase = await baseExclusions(context, base.commit);
  const rules = makeRules({
    kind: 'layer',
    exclude: [...ofBase.exclude, ...(build.exclude ?? [])],
    keep: [...ofBase.keep, ...(build.keep ?? [])],
  });
  checkPlaces(rules, build.files ?? [], loaded.file);
  const builtOn: BuiltOn = { name: definition.from.base, range: definition.from.range, ...base };
  const packages = await planPackages(context, definition, base.commit);
  const payload = await planPayload(context, loaded);
  const digest = inputsDigest(loaded, context.arch, {
    base: builtOn,
    packages: namesOf(packages),
    payload: payload?.digest,
  });
  const built = packages.kind === 'apk' ? undefined : await findBuilt(context, definition, digest);
  if (built !== undefined) return built;
  if (context.dryRun) return stale(definition);
  using task = context.reporter.task(`building app ${definition.name} on ${builtOn.name} ${base.version}`);
  const work = makeWork(context.paths, definition.name);
  try {
    const lower = join(work, 'base');
    await context.repo.checkout(base.commit, lower, { mode: 'none', enableFsync: false, signal: context.signal });
    const tree = makeTree(work, lower);
    const epoch = await changeTree(context, { loaded, tree, packages, payload, base: base.commit });
    const version = imageVersion(definition, { roots: [tree.upper, lower], epoch });
    splitStatus(tree.upper, lower);
    const content = join(work, 'layer');
    const warn = (message: string): void => context.reporter.warn(`${definition.name}: ${message}`);
    extractLayer({ upper: tree.upper, lower, out: content, rules, epoch, warn });
    const movable = !('fixed' in definition.version);
    const { file } = loaded;
    const image = { definition, file, content, version, movable, timestamp: epoch, base: builtOn, inputs: digest };
    const result = await commitImage(context, image);
    task.done(`built app ${definition.name} ${result.version}`);
    return result;
  } finally {
    removeWork(context.paths, work);
  }
}

/** What the base's definition excludes holds for its apps too; its dpkg has it as settings. */
async function baseExclusions(context: BuildContext, base: string): Promise<{ exclude: string[]; keep: string[] }> {
  const settings = (await readTreeFile(context.repo, base, DPKG_SETTINGS)) ?? '';
  const values = (name: string): string[] =>
    settings.split('\n').flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
  return { exclude: values('path-exclude'), keep: values('path-include') };
}

async function planPayload(context: BuildContext, loaded: Loaded): Promise<Payload | undefined> {
  const { build } = loaded.definition;
  if (build.builder === undefined) return undefined;
  const { directory } = loaded;
  return await resolvePayload(
    { ...context, directory, cache: context.paths.cache, owners: 'root' },
    build.builder,
    build,
  );
}

function namesOf(plan: PackagePlan): unknown {
  if (plan.kind !== 'dpkg') return plan.kind;
  return plan.actions.map((action) => (action.kind === 'unpack' ? action.package : `${action.kind} ${action.name}`));
}

/** Packages, then the source, then files, then steps. Returns the date of the newest input. */
async function changeTree(
  context: BuildContext,
  app: { loaded: Loaded; tree: BuildTree; packages: PackagePlan; payload: Payload | undefined; base: string },
): Promise<number> {
  const { loaded, tree, packages } = app;
  const { build } = loaded.definition;
  const downloaded = packages.kind === 'dpkg' ? await packages.download() : undefined;
  const staged = app.payload === undefined ? undefined : await stagePayload(tree, app.payload);
  const own = Math.max(downloaded?.epoch ?? 0, build.builder === 'tar' ? (staged?.newest ?? 0) : 0);
  const epoch = own > 0 ? own : (await context.repo.readCommit(app.base)).timestamp;
  const steps: ImageStep[] = [
    ...(packages.kind === 'dpkg' ? [packagesStep(tree, packages.actions, downloaded?.files ?? [], epoch)] : []),
    ...(packages.kind === 'apk' ? [apkStep(packages.packages, epoch)] : []),
    ...(staged === undefined ? [] : [payloadStep(staged.names, epoch)]),
    ...(build.files === undefined ? [] : [filesStep(tree, build.files, loaded.directory, epoch)]),
    ...scriptSteps(build.steps ?? [], epoch),
  ];
  for (const step of steps) {
    context.reporter.info(`${loaded.definition.name}: ${step.name}`);
    await runInImage(context, tree, step);
  }
  rmSync(tree.stage, { recursive: true });
  return epoch;
}

async function stagePayload(
  tree: BuildTree,
  payload: Payload,
): Promise<{ names: Array<{ name: string; directory: boolean }>; newest: number }> {
  const directory = join(tree.stage, 'payload');
  mkdirSync(directory);
  await payload.stage(directory);
  adoptDirectories(directory, tree.lower);
  const names = readdirSync(directory)
    .sort()
    .map((name) => ({ name, directory: lstatSync(join(directory, name)).isDirectory() }));
  return { names, newest: newestFile(directory) };
}

/** Directories that the base has too keep the base's owner and mode: a source says nothing about `/etc` or `/tmp`. */
function adoptDirectories(directory: string, lower: string): void {
  for (const name of readdirSync(directory)) {
    const [path, below] = [join(directory, name), join(lower, name)];
    if (!lstatSync(path).isDirectory()) continue;
    const there = lstatSync(below, { throwIfNoEntry: false });
    if (there?.isDirectory() !== true) continue;
    chownSync(path, there.uid, there.gid);
    chmodSync(path, there.mode & 0o7777);
    adoptDirectories(path, below);
  }
}
