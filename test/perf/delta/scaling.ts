/** Whether making bundles uses all cores. */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { makeCommand } from './bundles.js';
import { measure } from './programs.js';
import { atLeast, type Family, seconds } from './table.js';

/** Share of what is possible. */
const EFFICIENCY = 0.8;

/** @param repo of `prepareTrees` */
export function scalingFamilies(repo: string): Family[] {
  return [
    {
      name: 'scaling',
      summary: 'time of making a bundle on one core, against all cores',
      minutes: 2,
      measure: (tell) => {
        const work = mkdtempSync('/dev/shm/trees-bench-');
        try {
          const command = makeCommand(repo, { to: 'deb' }, { kind: 'fast', output: join(work, 'bundle') });
          const cores = cpus().length;
          const all = measure(command);
          const one = measure(['taskset', '--cpu-list', '0', ...command]);
          tell({
            what: `deb: time on 1 core to that on ${cores}, fast`,
            ours: seconds(all.seconds),
            peer: `${seconds(one.seconds)} on one core`,
            value: one.seconds / all.seconds,
            unit: ' ×',
            bar: atLeast(EFFICIENCY * cores),
          });
        } finally {
          rmSync(work, { recursive: true });
        }
      },
    },
  ];
}
