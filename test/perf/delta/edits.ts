/** Bytes of bundles for a few changed bytes. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { makeCommand } from './bundles.js';
import type { TreeName } from './fixtures.js';
import { ostree, run } from './programs.js';
import { atMost, bytes, type Family, type Row } from './table.js';

/** @param repo of `prepareTrees` */
export function editFamilies(repo: string): Family[] {
  return [
    {
      name: 'perl',
      summary: 'bytes of the bundle for 2 bytes changed in perl',
      minutes: 1,
      measure: (tell) => {
        const { stock, fast } = sizes(repo, 'perl');
        tell(row('perl, 2 bytes: bytes, fast', fast, { size: stock, name: 'stock', bar: 1 / 20 }));
      },
    },
    {
      name: 'edits',
      summary: 'bytes of the bundle for 2 bytes changed in etcd and 20 edited text files',
      minutes: 1,
      measure: (tell) => {
        const { stock, fast, small } = sizes(repo, 'edits');
        const floor = floorSize(repo, 'whole', 'edits');
        tell(row('edits: bytes, fast', fast, { size: stock, name: 'stock', bar: 0.7 }));
        tell(row('edits: bytes, fast, to the floor', fast, { size: floor, name: 'floor', bar: 1.1 }));
        tell(row('edits: bytes, small, to the floor', small, { size: floor, name: 'floor', bar: 1.1 }));
      },
    },
  ];
}

function row(what: string, size: number, peer: { size: number; name: string; bar: number }): Row {
  return {
    what,
    ours: bytes(size),
    peer: `${bytes(peer.size)} ${peer.name}`,
    value: size / peer.size,
    unit: ' ×',
    bar: atMost(peer.bar),
  };
}

function sizes(repo: string, to: TreeName): Record<'stock' | 'fast' | 'small', number> {
  const work = mkdtempSync('/dev/shm/trees-bench-');
  try {
    const size = (kind: 'stock' | 'fast' | 'small'): number => {
      const output = join(work, kind);
      run(makeCommand(repo, { from: 'whole', to }, { kind, output }));
      return statSync(output).size;
    };
    return { stock: size('stock'), fast: size('fast'), small: size('small') };
  } finally {
    rmSync(work, { recursive: true });
  }
}

/**
 * Bytes that no delta of this format goes without: the directory objects that are new, which it carries whole, compressed
 * as one stream by the better of zstd and xz at their best.
 */
function floorSize(repo: string, from: string, to: string): number {
  const old = new Set(directoryObjects(repo, from));
  const changed = directoryObjects(repo, to).filter((object) => !old.has(object));
  const input = Buffer.concat(
    changed.map((object) => readFileSync(join(repo, 'objects', object.slice(0, 2), object.slice(2)))),
  );
  const compress = (program: string): number => Number(run(['sh', '-c', `${program} | wc -c`], { input }));
  return Math.min(compress('zstd -q --ultra -22'), compress('xz -9e --format=raw'));
}

/** `CHECKSUM.dirtree` and `CHECKSUM.dirmeta` of all directories, each once, in the order of their paths. */
function directoryObjects(repo: string, ref: string): string[] {
  const lines = ostree('ls', `--repo=${repo}`, '-R', '-C', ref).split('\n');
  const objects = lines
    .filter((line) => line.startsWith('d'))
    .flatMap((line) => {
      const [tree = '', meta = ''] = line.match(/[0-9a-f]{64}/g) ?? [];
      return [`${tree}.dirtree`, `${meta}.dirmeta`];
    });
  return [...new Set(objects)];
}
