import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import type { ContainerSpec } from '../../../trees/run/container.js';
import { servicesSchema } from '../../../trees/run/service-spec.js';
import { missingForContainers } from '../../support/rootfs.js';
import { type Bench, bench, type Running, type RunOptions } from './container.js';

const compiler = ['musl-gcc', 'cc'].find((name) => spawnSync(name, ['--version']).status === 0);

export const missingForServices: string | false =
  missingForContainers() || (compiler === undefined ? 'musl-gcc is missing (package musl-tools)' : false);

export interface ServicesBench extends Bench {
  /** Starts a container of services; `services` is what a definition has under `services:`. */
  services(services: object, change?: Partial<ContainerSpec>, options?: RunOptions): Running;
}

/** A bench whose tree has /bin/helper, too (`service-helper.c`). */
export function servicesBench(): ServicesBench {
  const box = bench();
  if (missingForServices === false) buildServiceHelper(box.rootfs);
  return {
    ...box,
    services: (services, change, options) =>
      box.start(box.spec({ services: z.parse(servicesSchema, services), ...change }), options),
    [Symbol.dispose]: () => box[Symbol.dispose](),
  };
}

/** Puts /bin/helper into a tree. */
export function buildServiceHelper(rootfs: string): void {
  const helper = join(rootfs, 'bin/helper');
  if (existsSync(helper)) return;
  const source = join(import.meta.dirname, 'service-helper.c');
  const built = spawnSync(compiler ?? '', ['-static', '-O1', source, '-o', helper], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`cannot build the helper: ${built.stderr}`);
  chmodSync(helper, 0o755);
}

/** The lines of one service, without their labels. */
export function linesOf(output: string, service: string): string[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith(`[${service} OUT] `) || line.startsWith(`[${service} ERR] `))
    .map((line) => line.slice(line.indexOf('] ') + 2));
}

/** A command for `exec:`. */
export function sh(script: string): string[] {
  return ['sh', '-c', script];
}
