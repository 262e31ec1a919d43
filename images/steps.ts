import { chmodSync, copyFileSync, linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { AptAction } from './apt.js';
import { type BuildTree, type ImageStep, STAGE } from './container.js';
import { debFileName } from './deb.js';
import type { FileSpec, StepSpec } from './schema.js';

/** The environment of everything that runs in an image while it is built. */
function buildEnvironment(epoch: number): Record<string, string> {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LC_ALL: 'C',
    TZ: 'UTC',
    DEBIAN_FRONTEND: 'noninteractive',
    DEBCONF_NONINTERACTIVE_SEEN: 'true',
    SOURCE_DATE_EPOCH: String(epoch),
  };
}

/** invoke-rc.d asks this program; 101 forbids starting a service (/usr/share/doc/sysv-rc/README.policy-rc.d). */
const FORBID_SERVICES = `printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d\nchmod 755 /usr/sbin/policy-rc.d\n`;
const ALLOW_SERVICES = 'rm -f /usr/sbin/policy-rc.d\n';
const DPKG = 'dpkg --force-unsafe-io --force-confdef --force-confold --no-triggers';

/**
 * Installs downloaded packages with the image's own dpkg, in the order that apt found. It needs no network.
 *
 * @param files downloaded packages
 */
export function packagesStep(
  tree: BuildTree,
  actions: readonly AptAction[],
  files: readonly string[],
  epoch: number,
): ImageStep {
  const debs = join(tree.stage, 'debs');
  mkdirSync(debs);
  for (const file of files) linkOrCopy(file, join(debs, basename(file)));
  const commands = group(actions).map(({ kind, words }) => {
    if (kind === 'unpack') return `${DPKG} --unpack ${words.join(' ')}\n`;
    return kind === 'configure' ? `${DPKG} --configure ${words.join(' ')}\n` : `${DPKG} --purge ${words.join(' ')}\n`;
  });
  return {
    name: 'install packages',
    script: `${FORBID_SERVICES}cd ${STAGE}/debs\n${commands.join('')}dpkg --force-unsafe-io --configure --pending\n${ALLOW_SERVICES}`,
    network: false,
    env: buildEnvironment(epoch),
  };
}

/** Actions of one kind in a row are one call of dpkg. */
function group(actions: readonly AptAction[]): Array<{ kind: AptAction['kind']; words: string[] }> {
  const groups: Array<{ kind: AptAction['kind']; words: string[] }> = [];
  for (const action of actions) {
    const word = action.kind === 'unpack' ? quote(debFileName(action.package)) : quote(action.name);
    const last = groups.at(-1);
    if (last?.kind === action.kind) last.words.push(word);
    else groups.push({ kind: action.kind, words: [word] });
  }
  return groups;
}

/** Alpine's package manager fetches for itself. */
export function apkStep(packages: readonly string[], epoch: number): ImageStep {
  return {
    name: 'install packages',
    script: `apk add --no-cache --no-progress ${packages.map(quote).join(' ')}\n`,
    network: true,
    env: buildEnvironment(epoch),
  };
}

/**
 * Puts what was staged below `tree.stage/payload` in place. Directories are entered one by one at the top, because there
 * a base may have symbolic links where an archive has directories (`/lib` → `usr/lib`).
 */
export function payloadStep(names: readonly { name: string; directory: boolean }[], epoch: number): ImageStep {
  const lines = names.map(({ name, directory }) => {
    const [source, target] = [quote(`${STAGE}/payload/${name}`), quote(`/${name}`)];
    return directory ? `mkdir -p ${target}\ncp -a ${source}/. ${target}/\n` : `cp -a ${source} /\n`;
  });
  return { name: 'copy the source', script: lines.join(''), network: false, env: buildEnvironment(epoch) };
}

/** Puts the `files` of a definition in place. */
export function filesStep(tree: BuildTree, files: readonly FileSpec[], directory: string, epoch: number): ImageStep {
  const staged = join(tree.stage, 'files');
  mkdirSync(staged);
  const lines = files.map((file, index) => {
    const name = String(index);
    if (file.source !== undefined) copyFileSync(resolve(directory, file.source), join(staged, name));
    else if (file.content !== undefined) writeFileSync(join(staged, name), file.content);
    return placeFile(file, `${STAGE}/files/${name}`);
  });
  return { name: 'put files in place', script: lines.join(''), network: false, env: buildEnvironment(epoch) };
}

function placeFile(file: FileSpec, staged: string): string {
  const path = quote(file.path);
  if (file.remove === true) return `rm -rf ${path}\n`;
  const parent = quote(file.path.replace(/\/+[^/]*\/*$/, '') || '/');
  const owner = quote(file.owner ?? '0:0');
  if (file.symlink !== undefined) {
    return `mkdir -p ${parent}\nrm -f ${path}\nln -s ${quote(file.symlink)} ${path}\nchown -h ${owner} ${path}\n`;
  }
  if (file.directory === true) {
    return `mkdir -p ${path}\nchown ${owner} ${path}\nchmod ${file.mode ?? '0755'} ${path}\n`;
  }
  return `mkdir -p ${parent}\nrm -f ${path}\ncp ${staged} ${path}\nchown ${owner} ${path}\nchmod ${file.mode ?? '0644'} ${path}\n`;
}

/** The `steps` of a definition. */
export function scriptSteps(steps: readonly StepSpec[], epoch: number): ImageStep[] {
  return steps.map((step, index) => ({
    name: `step ${index + 1}${step.name === undefined ? '' : ` (${step.name})`}`,
    script: step.run,
    network: step.network ?? false,
    env: { ...buildEnvironment(epoch), ...step.env },
  }));
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
  chmodSync(to, 0o644);
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
