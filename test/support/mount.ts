import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { runProgram } from './rig.js';

/**
 * Mounts something at `path`, which is made. It is unmounted when it is disposed of, and also if this process ends in
 * any other way: a process of its own waits for that, by a pipe that the kernel closes.
 * @param args mount(8)'s, without the path
 */
export async function mount(path: string, args: readonly string[]): Promise<AsyncDisposable> {
  mkdirSync(path, { recursive: true });
  const result = await runProgram('mount', [...args, path]);
  assert.equal(result.status, 0, `mount ${args.join(' ')} ${path}: ${result.stderr}`);
  const script = 'read -r _; umount -l "$1" && rmdir "$1"';
  // In a group of its own, so that it outlives an interrupt from the terminal.
  const guard = spawn('sh', ['-c', script, 'sh', path], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  const ended = once(guard, 'close');
  guard.unref();
  return {
    async [Symbol.asyncDispose]() {
      guard.ref();
      guard.stdin.end();
      await ended;
      assert.equal(guard.exitCode, 0, `${path} is unmounted`);
    },
  };
}

export const reasonToSkipMounts: string | false = process.geteuid?.() === 0 ? false : 'needs root, to mount';
