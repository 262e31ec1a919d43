import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot, runProgram } from './rig.js';

/** What can be made to fail: read(2) and its kind, …; `sync` is fsync, fdatasync and syncfs. */
export const failingCalls = ['read', 'write', 'sync', 'rename', 'link', 'mkdir'] as const;
export type FailingCall = (typeof failingCalls)[number];

/** Gives environments in which system calls on files below a directory fail with EIO (failing-disk.c). */
export interface FailingDisk {
  /**
   * @param fault.at which call of the kind fails, from 1
   * @param fault.stays so do all after it
   */
  failing(below: string, fault: { call: FailingCall; at: number; stays: boolean }): Record<string, string>;
  /** All file systems say that they have room for a million files more. */
  readonly roomy: Readonly<Record<string, string>>;
  /** How many calls of a kind a program makes. @param run runs it in the environment it is given */
  count(below: string, call: FailingCall, run: (env: Record<string, string>) => Promise<unknown>): Promise<number>;
}

/** Compiles the library that does it. @param directory where it is put */
export async function createFailingDisk(directory: string): Promise<FailingDisk> {
  const library = join(directory, 'failing-disk.so');
  const source = join(projectRoot, 'test/support/failing-disk.c');
  const { status, stderr } = await runProgram('gcc', ['-O1', '-shared', '-fPIC', '-o', library, source, '-ldl']);
  assert.equal(status, 0, stderr);
  const env = (below: string, call: string): Record<string, string> => ({
    LD_PRELOAD: library,
    FAULT_BELOW: below,
    FAULT_CALL: call,
  });
  return {
    roomy: { LD_PRELOAD: library, FAULT_ROOMY: '1' },
    failing: (below, { call, at, stays }) => ({
      ...env(below, call),
      FAULT_AT: String(at),
      ...(stays ? { FAULT_STAYS: '1' } : {}),
    }),
    async count(below, call, run) {
      const file = join(directory, `calls-${call}`);
      rmSync(file, { force: true });
      await run({ ...env(below, call), FAULT_AT: '0', FAULT_COUNTS: file });
      const lines = readFileSync(file, 'utf8').trim().split('\n');
      return Math.max(...lines.map((line) => Number(line.split(' ')[1])));
    },
  };
}
