import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  downloadPackages,
  missingForApt,
  openApt,
  resolvePackages,
  sourceLines,
  toDebianArch,
  updateLists,
  withMirror,
} from '../apt.js';
import { newestDeb } from '../deb.js';
import { findProgram, hostEnvironment, ownNamespaces, runProcess } from '../process.js';
import type { SourceSpec } from '../schema.js';
import type { BaseBuilder, BaseInputs, BuilderContext } from './builder.js';

/** Makes /bin, /lib and /sbin links before anything is unpacked, which the package usr-is-merged only checks. */
const MERGED_USR = '/usr/share/mmdebstrap/hooks/merged-usr';

/** Debian and Ubuntu root file systems from their package archives. */
export const mmdebstrap: BaseBuilder = { missing, resolve };

async function missing(context: BuilderContext): Promise<string[]> {
  const tools = ['mmdebstrap', 'setpriv', 'unshare'];
  const found = await Promise.all(tools.map(findProgram));
  const absent = tools.filter((_, index) => found[index] === undefined).map((tool) => `the program ${tool}`);
  return [...absent, ...(await missingForApt(sourcesOf(context)))];
}

async function resolve(context: BuilderContext): Promise<BaseInputs> {
  const { build } = context.definition;
  const apt = await openApt(context.cache, sourcesOf(context), toDebianArch(context.arch), context);
  await updateLists(apt, context);
  const extra = [...includes(context)];
  const seed = build.variant === 'minbase' ? ['?essential', '?priority(required)'] : ['?essential'];
  const actions = await resolvePackages(apt, [...seed, ...extra], context);
  const packages = actions.flatMap((action) => (action.kind === 'unpack' ? [action.package] : []));
  let newest = 0;
  return {
    digestOf: { packages: packages.map((one) => `${one.name}=${one.version}:${one.arch}`).sort() },
    build: async (rootfs) => {
      const files = await downloadPackages(apt, packages, context);
      newest = await newestDeb(files);
      await bootstrap(context, { rootfs, files, epoch: newest });
    },
    epoch: () => newest,
  };
}

function sourcesOf(context: BuilderContext): SourceSpec[] {
  return withMirror(context.definition.build.sources ?? [], context.mirror);
}

function includes(context: BuilderContext): string[] {
  const { build } = context.definition;
  const apt = build.variant === 'apt' || build.variant === 'minbase' ? ['apt'] : [];
  return [...new Set([...apt, ...(build.packages ?? [])])];
}

async function bootstrap(
  context: BuilderContext,
  input: { rootfs: string; files: readonly string[]; epoch: number },
): Promise<void> {
  const { build } = context.definition;
  const { rootfs } = input;
  // Only what was resolved is offered from the cache; mmdebstrap downloads anything else it wants itself.
  const offered = `${rootfs}.debs`;
  mkdirSync(offered);
  for (const file of input.files) symlinkSync(file, join(offered, file.slice(file.lastIndexOf('/') + 1)));
  const merged = build.packages?.includes('usr-is-merged') === true && existsSync(MERGED_USR);
  const argv = [
    'mmdebstrap',
    '--mode=root',
    '--format=directory',
    `--variant=${build.variant ?? 'essential'}`,
    `--architectures=${toDebianArch(context.arch)}`,
    `--include=${includes(context).join(',')}`,
    '--aptopt=APT::Install-Recommends "false"',
    '--skip=essential/unlink',
    // A build that is cut short is thrown away: waiting for the disk after every file gains nothing.
    '--dpkgopt=force-unsafe-io',
    ...(build.exclude ?? []).map((glob) => `--dpkgopt=path-exclude=${glob}`),
    ...(build.keep ?? []).map((glob) => `--dpkgopt=path-include=${glob}`),
    '--setup-hook=mkdir -p "$1/var/cache/apt/archives"',
    `--setup-hook=cp --dereference --reflink=auto ${quote(offered)}/*.deb "$1/var/cache/apt/archives/"`,
    ...(merged ? [`--hook-dir=${MERGED_USR}`] : []),
    build.suite ?? '',
    rootfs,
    ...sourceLines(sourcesOf(context), true),
  ];
  try {
    await runProcess(context, [...ownNamespaces, ...argv], {
      step: `make the root file system with mmdebstrap`,
      env: { ...hostEnvironment, SOURCE_DATE_EPOCH: String(input.epoch) },
    });
  } finally {
    rmSync(offered, { recursive: true });
  }
  settle(rootfs, build.sources ?? []);
}

/** Leaves the distribution's own settings: no mirror and no name of this builder. */
function settle(rootfs: string, sources: readonly SourceSpec[]): void {
  const list = join(rootfs, 'etc/apt/sources.list');
  rmSync(join(rootfs, 'etc/apt/sources.list.d'), { recursive: true, force: true });
  mkdirSync(join(rootfs, 'etc/apt/sources.list.d'), { recursive: true });
  chmodSync(join(rootfs, 'etc/apt/sources.list.d'), 0o755);
  writeFileSync(list, `${sourceLines(sources, true).join('\n')}\n`);
  chmodSync(list, 0o644);
  const settings = join(rootfs, 'etc/dpkg/dpkg.cfg.d');
  const written = join(settings, '99mmdebstrap');
  const kept = readFileSync(written, 'utf8').replaceAll(/^(?!path-).*\n/gm, '');
  rmSync(written);
  if (kept === '') return;
  writeFileSync(join(settings, 'trees'), kept);
  chmodSync(join(settings, 'trees'), 0o644);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
