import assert from 'node:assert/strict';
import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { RunSpec } from '../../trees/run/spec.js';
import { layOutApp } from './laid-out-app.js';
import { createRig, type Rig, type RunOptions } from './rig.js';

/** A rig whose instances are stopped before it is deleted. */
export interface InstanceRig extends Rig {
  /** Lays out a generation of an app and makes it current. */
  install(name: string, run: RunSpec, number?: number): string;
  /** Runs `trees`, expects success and gives its standard output. */
  ok(args: readonly string[], options?: RunOptions): Promise<string>;
  /** As `ps -a --json` shows it. */
  instance(name: string): Promise<Readonly<Record<string, unknown>>>;
}

/** What runs until it is told to stop, and says so. */
export const serve = (word: string, status = 0): string[] => [
  'sh',
  '-c',
  `trap 'echo bye; exit ${status}' TERM; echo ${word}; while :; do sleep 0.05; done`,
];

export async function createInstanceRig(): Promise<InstanceRig> {
  const rig = await createRig();
  const instances: InstanceRig = {
    ...rig,
    install(name, run, number = 1) {
      const generation = layOutApp(rig.store, name, run, number);
      const current = join(rig.store, 'apps', name, 'current');
      rmSync(current, { force: true });
      symlinkSync(String(number), current);
      return generation;
    },
    async ok(args, options) {
      const result = await rig.trees(args, options);
      assert.equal(result.status, 0, `trees ${args.join(' ')}: ${result.stderr}`);
      return result.stdout;
    },
    async instance(name) {
      const document = await rig.json(['ps', '-a', '--filter', `name=^${name}$`]);
      const list: unknown = Reflect.get(Object(document), 'instances');
      assert.ok(Array.isArray(list) && list.length === 1, `one instance ${name}: ${JSON.stringify(document)}`);
      return Object(list[0]);
    },
    async [Symbol.asyncDispose]() {
      await rig.trees(['stop', '--all', '-t', '1']);
      await rig[Symbol.asyncDispose]();
    },
  };
  return instances;
}
