import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawnContainer } from '../trees/run/launcher.js';
import { openLog } from './log.js';
import { cancelled, failed, type ProcessContext } from './process.js';

/** A tree under construction: what is below, and the directory that takes the changes. */
export interface BuildTree {
  readonly lower: string;
  readonly upper: string;
  /** overlayfs' own directory, beside `upper`. */
  readonly work: string;
  /** Directory that the image sees, read-only, as `STAGE`. */
  readonly stage: string;
}

export interface ImageStep {
  /** For messages: `install packages`. */
  readonly name: string;
  /** Shell script, run as root with `sh -eu`. */
  readonly script: string;
  readonly network: boolean;
  readonly env: Readonly<Record<string, string>>;
}

/** Packages of inits ask process 1 to open its control channel; passed on to the step, that would end it. */
const DEAF = "trap '' USR1; ";

/** Where the staged files are inside. Below /run, which is never part of an image. */
export const STAGE = '/run/trees-build';

/**
 * Runs a step in a container on a tree: isolated as apps are, but with real owners, for what it writes is the image.
 *
 * @throws TreesError `BUILD_FAILED` with the step, its exit status and the last lines of its output, or `CANCELLED`
 */
export async function runInImage(context: ProcessContext, tree: BuildTree, step: ImageStep): Promise<void> {
  writeFileSync(join(tree.stage, 'step.sh'), step.script);
  const log = openLog(context.log, step.name, context.reporter);
  try {
    const status = await spawnContainer(
      {
        lower: [tree.lower],
        upper: { kind: 'persistent', upper: tree.upper, work: tree.work },
        userns: 'host',
        net: step.network ? 'host' : 'none',
        hostname: 'localhost',
        argv: ['/bin/sh', '-c', `${DEAF}exec /bin/sh -eu ${STAGE}/step.sh`],
        env: step.env,
        mounts: [{ kind: 'bind', source: tree.stage, target: STAGE, readOnly: true }],
        stopTimeout: 2,
      },
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        signal: context.signal,
        onSpawn: ({ stdout, stderr }) => {
          log.follow(stdout);
          log.follow(stderr);
        },
      },
    );
    if (context.signal.aborted) throw cancelled(step.name);
    if (status !== 0) throw failed(step.name, `exit status ${status}`, log.tail, context.log);
  } finally {
    await log.close();
  }
}
