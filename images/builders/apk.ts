import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, runProcess } from '../process.js';
import type { BaseBuilder, BaseInputs, BuilderContext } from './builder.js';

/** Alpine root file systems from an Alpine mirror, with the machine's apk (or apk.static). */
export const apk: BaseBuilder = { missing, resolve };

const PROBE_TIMEOUT_MS = 10_000;

async function missing(context: BuilderContext): Promise<string[]> {
  const lacks: string[] = [];
  if ((await tool()) === undefined) lacks.push('the program apk or apk.static (Alpine’s apk-tools-static)');
  const keys = context.definition.build.keys ?? '';
  if (!existsSync(keys)) lacks.push(`the directory ${keys} with Alpine’s signing keys (alpine-keys)`);
  const index = `${repositories(context)[0]}/${context.arch}/APKINDEX.tar.gz`;
  const problem = await probe(index, context.signal);
  if (problem !== undefined) lacks.push(`the mirror: ${index}: ${problem}`);
  return lacks;
}

async function probe(url: string, signal: AbortSignal): Promise<string | undefined> {
  if (url.startsWith('file://')) return existsSync(new URL(url)) ? undefined : 'no such file';
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    const response = await fetch(url, { method: 'HEAD', signal: limit });
    return response.ok ? undefined : `HTTP status ${response.status}`;
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cause instanceof Error ? cause.message : String(cause);
  }
}

async function tool(): Promise<string | undefined> {
  return (await findProgram('apk')) ?? (await findProgram('apk.static'));
}

function repositories(context: BuilderContext): string[] {
  const { build } = context.definition;
  const mirror = (context.mirror ?? build.mirror ?? '').replace(/\/$/, '');
  return ['main', 'community'].map((name) => `${mirror}/${build.suite}/${name}`);
}

function packages(context: BuilderContext): string[] {
  return [
    ...new Set(['alpine-baselayout', 'busybox', 'musl', 'apk-tools', ...(context.definition.build.packages ?? [])]),
  ];
}

async function resolve(context: BuilderContext): Promise<BaseInputs> {
  const program = (await tool()) ?? 'apk';
  // An empty root to resolve in: it gets the package index only.
  const scratch = join(context.cache, 'apk', context.arch);
  await initialise(context, program, scratch);
  const add = [...options(context, scratch), 'add', '--simulate', ...packages(context)];
  const output = await runProcess(context, [program, ...add], { step: 'resolve packages', capture: true });
  const chosen = [...output.matchAll(/Installing (\S+) \((\S+)\)/g)].map((match) => `${match[1]}=${match[2]}`).sort();
  return {
    digestOf: { packages: chosen },
    epoch: newestPackage,
    build: async (rootfs) => {
      mkdirSync(rootfs);
      await initialise(context, program, rootfs);
      const argv = [...options(context, rootfs), 'add', ...packages(context)];
      await runProcess(context, [program, ...argv], { step: 'make the root file system with apk' });
      const list = repositories({ ...context, mirror: undefined });
      writeFileSync(join(rootfs, 'etc/apk/repositories'), `${list.join('\n')}\n`);
    },
  };
}

async function initialise(context: BuilderContext, program: string, root: string): Promise<void> {
  mkdirSync(join(root, 'etc/apk'), { recursive: true });
  cpSync(context.definition.build.keys ?? '', join(root, 'etc/apk/keys'), { recursive: true });
  await runProcess(context, [program, ...options(context, root), '--initdb', 'add'], { step: 'prepare apk' });
}

function options(context: BuilderContext, root: string): string[] {
  const cache = join(context.cache, 'apks');
  mkdirSync(cache, { recursive: true });
  const repos = repositories(context).flatMap((url) => ['--repository', url]);
  return ['--root', root, '--arch', context.arch, '--cache-dir', cache, ...repos];
}

/** Newest build time of the installed packages: field `t:` of the database (apk package format, "installed database"). */
function newestPackage(root: string): number {
  const database = readFileSync(join(root, 'lib/apk/db/installed'), 'utf8');
  return [...database.matchAll(/^t:(\d+)$/gm)].reduce((newest, match) => Math.max(newest, Number(match[1])), 0);
}
