import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstanceRig } from './instance-rig.js';
import { createSample, type Sample } from './sample.js';

/**
 * The sample app as a service: it serves until it is told to stop, unless its greeting begins with "bad". Given arguments it
 * says its greeting and them, and is done.
 */
export async function createRunningSample(rig: InstanceRig): Promise<Sample> {
  const sample = await createSample(rig);
  await writeFile(
    join(sample.definitions, 'hello/usr/bin/hello'),
    [
      '#!/bin/sh',
      'echo "$(cat /etc/greeting)" "$@"',
      '[ $# -gt 0 ] && exit 0',
      'case "$(cat /etc/greeting)" in bad*) exit 3 ;; esac',
      "trap 'exit 0' TERM",
      'while :; do sleep 0.05; done',
      '',
    ].join('\n'),
  );
  await sample.writeApp({ version: '1.1.0', greeting: 'first' });
  await sample.publish();
  await rig.ok(['feed', 'add', sample.url, '--key', sample.publicKey]);
  await rig.ok(['install', 'hello']);
  return sample;
}
