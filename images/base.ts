import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { TreesError } from '../trees/errors.js';
import type { BaseBuilder, BuilderContext } from './builders/builder.js';
import { builders } from './builders/index.js';
import { commitImage, findBuilt } from './commit.js';
import { runInImage } from './container.js';
import type { BuildContext, BuildResult } from './context.js';
import { inputsDigest } from './inputs.js';
import { extractLayer } from './layer.js';
import type { LoadedDefinition } from './load.js';
import { applyLayer, cleanRootfs } from './rootfs.js';
import { checkPlaces, makeRules, type Rules } from './rules.js';
import type { BaseDefinition, BuilderName } from './schema.js';
import { filesStep, scriptSteps } from './steps.js';
import { makeTree } from './tree.js';
import { imageVersion } from './version-source.js';
import { makeWork, removeWork } from './workspace.js';

type Loaded = LoadedDefinition & { readonly definition: BaseDefinition };

/** Builds a base, unless its inputs are those of the last build. */
export async function buildBase(context: BuildContext, loaded: Loaded): Promise<Omit<BuildResult, 'seconds'>> {
  const { definition } = loaded;
  const { build } = definition;
  const rules = makeRules({ kind: 'base', exclude: build.exclude ?? [], keep: build.keep ?? [] });
  checkPlaces(rules, build.files ?? [], loaded.file);
  const builderContext: BuilderContext = {
    ...context,
    definition,
    directory: loaded.directory,
    cache: context.paths.cache,
  };
  const { name, builder } = await chooseBuilder(context, builderContext);
  const inputs = await builder.resolve(builderContext);
  const digest = inputsDigest(loaded, context.arch, { builder: name, inputs: inputs.digestOf });
  const built = await findBuilt(context, definition, digest);
  if (built !== undefined) return built;
  if (context.dryRun) return stale(definition);
  using task = context.reporter.task(`building base ${definition.name} with ${name}`);
  const work = makeWork(context.paths, definition.name);
  try {
    const rootfs = join(work, 'rootfs');
    await inputs.build(rootfs);
    const epoch = inputs.epoch(rootfs);
    await changeRootfs(context, { loaded, rules, work, rootfs, epoch });
    cleanRootfs(rootfs, { rules, epoch, warn: (message) => context.reporter.debug(message) });
    const version = imageVersion(definition, { roots: [rootfs], epoch });
    const result = await commitImage(context, {
      file: loaded.file,
      definition,
      content: rootfs,
      version,
      movable: !('fixed' in definition.version),
      timestamp: epoch,
      base: undefined,
      inputs: digest,
    });
    task.done(`built base ${definition.name} ${result.version}`);
    return result;
  } finally {
    removeWork(context.paths, work);
  }
}

export function stale(definition: { name: string; kind: 'base' | 'app' }): Omit<BuildResult, 'seconds'> {
  const { name, kind } = definition;
  return { name, kind, version: undefined, ref: undefined, commit: undefined, size: 0, files: 0, status: 'stale' };
}

/** The first builder of the definition that this machine can do. */
async function chooseBuilder(
  context: BuildContext,
  builderContext: BuilderContext,
): Promise<{ name: BuilderName; builder: BaseBuilder }> {
  const { definition } = builderContext;
  const names = [context.builder ?? definition.build.builder].flat();
  const problems: string[] = [];
  for (const name of names) {
    const lacks = await builders[name].missing(builderContext);
    if (lacks.length === 0) {
      for (const problem of problems) context.reporter.info(`base ${definition.name}: using ${name}, ${problem}`);
      return { name, builder: builders[name] };
    }
    problems.push(`${name} lacks ${lacks.join(', and ')}`);
  }
  throw new TreesError('TOOL_MISSING', `cannot build base ${definition.name}: ${problems.join('; ')}`, {
    hint: 'install what is missing, or choose another builder with --builder or another mirror with --mirror',
    details: { name: definition.name, missing: problems },
  });
}

/** Files and steps of a base happen as those of an app do, on an overlay; what they changed is then merged. */
async function changeRootfs(
  context: BuildContext,
  base: { loaded: Loaded; rules: Rules; work: string; rootfs: string; epoch: number },
): Promise<void> {
  const { files = [], steps = [] } = base.loaded.definition.build;
  if (files.length === 0 && steps.length === 0) return;
  const tree = makeTree(base.work, base.rootfs);
  const all = [
    ...(files.length === 0 ? [] : [filesStep(tree, files, base.loaded.directory, base.epoch)]),
    ...scriptSteps(steps, base.epoch),
  ];
  for (const step of all) await runInImage(context, tree, step);
  const out = join(base.work, 'changes');
  const warn = (message: string): void => context.reporter.warn(message);
  extractLayer({ upper: tree.upper, lower: base.rootfs, out, rules: base.rules, epoch: base.epoch, warn });
  applyLayer(out, base.rootfs);
  rmSync(out, { recursive: true });
}
