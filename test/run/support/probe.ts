import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export function missingCompiler(): string | false {
  return spawnSync('cc', ['--version']).status === 0 ? false : 'needs a C compiler (cc)';
}

/** Compiles `support/probe/<name>.c` into a tree's /bin. @returns its path inside */
export function compileProbe(rootfs: string, name: string): string {
  const source = fileURLToPath(new URL(`probe/${name}.c`, import.meta.url));
  const program = join(rootfs, 'bin', `probe-${name}`);
  const { status, stderr } = spawnSync('cc', ['-O1', '-static', '-Wall', '-Werror', '-o', program, source], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`cannot compile ${source}: ${stderr}`);
  return `/bin/probe-${name}`;
}
