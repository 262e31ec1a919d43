import { writeSync } from 'node:fs';
import type { Environment } from '../../inputs.js';
import { encodeSpec, type NoteOptions, specDirectories } from '../instance-spec.js';
import { type InstancePlaces, runDirectory } from '../instances.js';
import { type LaunchOptions, launcherEnvironment, launchFlags } from '../launcher.js';
import type { KeptRun } from './entry.js';
import { keepLaunch } from './keep.js';

export interface RunToKeep {
  readonly app: string;
  readonly plan: Uint8Array;
  readonly launch: LaunchOptions;
  /** What was noted about the instance. */
  readonly noted: NoteOptions;
  readonly places: InstancePlaces;
  readonly context: { readonly env: Environment; readonly cwd: string };
}

const STDERR = 2;

/** Keeps the start of a container, and says so where times are explained. */
export function keepRun({ app, plan, launch, noted, places, context }: RunToKeep): void {
  const explain = launch.explainTime === 'text';
  const start: KeptRun = {
    kind: 'run',
    runDir: runDirectory(places, noted.name),
    specDirectories: specDirectories(places, noted.name, noted.keeps),
    spec: splitSpec(noted),
    flags: launchFlags(launch),
    environment: launcherEnvironment(launch),
    explain,
  };
  const problem = keepLaunch({ app, start, plan }, context);
  if (explain) writeSync(STDERR, `plan: compiled${problem === undefined ? '' : `, not kept: ${problem}`}\n`);
}

/** What comes before and after the time. */
function splitSpec({ spec }: NoteOptions): readonly [string, string] | null {
  if (spec === undefined) return null;
  // Members keep their order, and strings before this one cannot hold it: it would be escaped.
  const key = '"created":"';
  const text = encodeSpec({ ...spec, created: '' });
  const at = text.lastIndexOf(`${key}","labels":`) + key.length;
  return [text.slice(0, at), text.slice(at)];
}
