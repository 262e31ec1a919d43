import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { OPAQUE, tryLstat, WHITEOUT } from './layer.js';
import { normaliseFile } from './normalise.js';
import type { Rules } from './rules.js';
import { copyImageXattrs } from './xattrs.js';

/** What a base has in place of the building machine's own: identities are given to a container when it starts. */
const neutralFiles: Readonly<Record<string, string>> = {
  '/etc/hostname': 'localhost\n',
  '/etc/hosts': '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n',
  '/etc/machine-id': '',
  '/etc/resolv.conf': '',
};

/**
 * Makes a root file system that a builder left fit to be a base: nothing of the machine and the moment that made it stays.
 *
 * @param root directory, changed in place
 * @param options.epoch seconds since the epoch
 */
export function cleanRootfs(
  root: string,
  options: { rules: Rules; epoch: number; warn: (message: string) => void },
): void {
  for (const directory of ['/dev', '/proc', '/sys', '/run', '/tmp', '/etc', '/var/tmp']) {
    if (existsSync(`${root}${directory}`)) continue;
    mkdirSync(`${root}${directory}`, { recursive: true });
    chmodSync(`${root}${directory}`, directory.endsWith('/tmp') ? 0o1777 : 0o755);
  }
  chownSync(root, 0, 0);
  chmodSync(root, 0o755);
  cleanDirectory(root, '', options);
  for (const [path, content] of Object.entries(neutralFiles)) {
    rmSync(`${root}${path}`, { force: true, recursive: true });
    writeFileSync(`${root}${path}`, content, { flag: 'wx' });
    chmodSync(`${root}${path}`, 0o644);
  }
}

function cleanDirectory(
  root: string,
  path: string,
  options: { rules: Rules; epoch: number; warn: (message: string) => void },
): void {
  for (const name of readdirSync(`${root}${path}`)) {
    const child = `${path}/${name}`;
    const file = `${root}${child}`;
    const stats = lstatSync(file);
    const verdict = options.rules.verdict(child);
    if (verdict === 'drop') rmSync(file, { recursive: true });
    else if (stats.isDirectory()) {
      cleanDirectory(root, child, options);
      if (verdict === 'prune' && readdirSync(file).length === 0) rmdirSync(file);
    } else if (verdict !== 'keep') rmSync(file);
    else if (stats.isFile()) normaliseFile(child, file, { epoch: options.epoch });
    else if (!stats.isSymbolicLink()) {
      options.warn(`${child} is left out: an image holds no devices, pipes and sockets`);
      rmSync(file);
    }
  }
}

/** Applies a layer that `extractLayer` made to a root file system; the layer's files are moved into it. */
export function applyLayer(layer: string, root: string, path = ''): void {
  const names = readdirSync(`${layer}${path}`);
  if (names.includes(OPAQUE)) for (const name of readdirSync(`${root}${path}`)) remove(`${root}${path}/${name}`);
  for (const name of names) {
    const child = `${path}/${name}`;
    if (name === OPAQUE) continue;
    if (name.startsWith(WHITEOUT)) {
      remove(`${root}${path}/${name.slice(WHITEOUT.length)}`);
      continue;
    }
    const source = `${layer}${child}`;
    const target = `${root}${child}`;
    const stats = lstatSync(source);
    const present = tryLstat(target);
    if (present !== undefined && (!stats.isDirectory() || !present.isDirectory())) remove(target);
    if (stats.isDirectory()) {
      mkdirSync(target, { recursive: true });
      lchownSync(target, stats.uid, stats.gid);
      chmodSync(target, stats.mode & 0o7777);
      copyImageXattrs(source, target);
      applyLayer(layer, root, child);
    } else renameSync(source, target);
  }
}

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
