import assert from 'node:assert/strict';
import { mount } from './mount.js';
import { runProgram } from './rig.js';

/** A tmpfs of limited size, to run full. Needs root. */
export interface Tmpfs extends AsyncDisposable {
  readonly path: string;
  /** Changes the limits: `size=300m,nr_inodes=100`. */
  limit(options: string): Promise<void>;
  /** What is taken now. */
  used(): Promise<{ inodes: number; bytes: number }>;
}

export async function mountTmpfs(path: string, options: string): Promise<Tmpfs> {
  const mounted = await mount(path, ['-t', 'tmpfs', '-o', options, 'trees-test']);
  return {
    path,
    limit: async (changed) => void (await succeed('mount', ['-o', `remount,${changed}`, path])),
    async used() {
      const numbers = (await succeed('stat', ['-f', '-c', '%c %d %b %f %S', path])).trim().split(' ').map(Number);
      const [inodes = 0, freeInodes = 0, blocks = 0, freeBlocks = 0, size = 0] = numbers;
      return { inodes: inodes - freeInodes, bytes: (blocks - freeBlocks) * size };
    },
    [Symbol.asyncDispose]: async () => await mounted[Symbol.asyncDispose](),
  };
}

async function succeed(program: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram(program, args);
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}
