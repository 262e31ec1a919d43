import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TreesError } from '../trees/errors.js';
import {
  type Apt,
  type AptAction,
  downloadPackages,
  missingForApt,
  openApt,
  resolvePackages,
  toDebianArch,
  updateLists,
  withMirror,
} from './apt.js';
import type { BuildContext } from './context.js';
import { newestDeb } from './deb.js';
import type { AppDefinition, SourceSpec } from './schema.js';
import { readTreeFile } from './tree-file.js';

/** What installing the packages of an app on a base means. */
export type PackagePlan =
  | { readonly kind: 'none' }
  /** Resolved: the same actions give the same layer. `download` fetches what they unpack. */
  | {
      readonly kind: 'dpkg';
      readonly actions: readonly AptAction[];
      download(): Promise<{ files: string[]; epoch: number }>;
    }
  /** Chosen by apk while it installs, so never known to be unchanged. */
  | { readonly kind: 'apk'; readonly packages: readonly string[] };

/**
 * Finds out which packages would be installed on a base, with the package archives that the base itself names.
 *
 * @param base commit of the base
 * @throws TreesError `BUILD_FAILED` when the base has no package manager or the packages cannot be resolved,
 * `TOOL_MISSING` naming what this machine lacks
 */
export async function planPackages(context: BuildContext, app: AppDefinition, base: string): Promise<PackagePlan> {
  const packages = app.build.packages ?? [];
  if (packages.length === 0) return { kind: 'none' };
  const status = await readTreeFile(context.repo, base, '/var/lib/dpkg/status');
  if (status !== undefined) return planDebs(context, app, { base, status });
  if ((await readTreeFile(context.repo, base, '/lib/apk/db/installed')) !== undefined) return { kind: 'apk', packages };
  throw new TreesError(
    'BUILD_FAILED',
    `cannot build ${app.name} on ${app.from.base}: the base has no package manager to install ${packages.join(', ')}`,
    {
      hint: 'an alp made with the busybox builder has none; with a reachable Alpine mirror the apk builder makes one that has',
    },
  );
}

async function planDebs(
  context: BuildContext,
  app: AppDefinition,
  on: { base: string; status: string },
): Promise<PackagePlan> {
  const own = parseSources((await readTreeFile(context.repo, on.base, '/etc/apt/sources.list')) ?? '');
  const sources = [...withMirror(own, context.mirror), ...(app.build.sources ?? [])];
  const missing = await missingForApt(sources);
  if (missing.length > 0) {
    throw new TreesError('TOOL_MISSING', `cannot build ${app.name}: this machine lacks ${missing.join(', and ')}`, {
      hint: 'install what is missing, then build again',
      details: { missing },
    });
  }
  const apt = await openApt(context.paths.cache, sources, toDebianArch(context.arch), context);
  await updateLists(apt, context);
  const status = join(context.paths.cache, 'apt', `status-${on.base}`);
  mkdirSync(join(context.paths.cache, 'apt'), { recursive: true });
  writeFileSync(status, on.status);
  const actions = await resolvePackages(apt, app.build.packages ?? [], context, { status });
  return { kind: 'dpkg', actions, download: () => download(context, apt, { actions, status }) };
}

async function download(
  context: BuildContext,
  apt: Apt,
  plan: { actions: readonly AptAction[]; status: string },
): Promise<{ files: string[]; epoch: number }> {
  const packages = plan.actions.flatMap((action) => (action.kind === 'unpack' ? [action.package] : []));
  const files = await downloadPackages(apt, packages, context, { status: plan.status });
  return { files, epoch: await newestDeb(files) };
}

/** Reads one-line sources (sources.list(5)) as mmdebstrap.ts writes them; other lines are skipped. */
export function parseSources(content: string): SourceSpec[] {
  return content.split('\n').flatMap((line) => {
    const [, keyring, uri, suite, components] = /^deb \[signed-by=(\S+)\] (\S+) (\S+) (.+)$/.exec(line.trim()) ?? [];
    if (keyring === undefined || uri === undefined || suite === undefined || components === undefined) return [];
    return [{ uri, suites: [suite], components: components.split(/\s+/), keyring }];
  });
}
