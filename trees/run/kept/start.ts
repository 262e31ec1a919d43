import { writeSync } from 'node:fs';
import { observe, observeVariable } from '../../input-kinds.js';
import type { Input } from '../../inputs.js';
import { memfd } from '../../system/calls.js';
import { execLauncher } from '../exec-launcher.js';
import { type Claim, tryClaim } from '../instance-locks.js';
import { bootId, isProcessAlive, readInstanceState } from '../instance-state.js';
import { writeSpecFiles } from '../spec-file.js';
import type { Entry, KeptExec, KeptRun } from './entry.js';
import { readEntry } from './files.js';
import { fileNameOf, isSameLine, keptDirectory, ownLine, seemingPrefix } from './line.js';

type Environment = Readonly<Record<string, string | undefined>>;

const STDERR = 2;
/** Said with `--explain-time`. */
export const KEPT_NOTICE = 'plan: kept\n';

/**
 * Starts what the same line came to before, if everything that rests on is unchanged. What is new at every start is done
 * anew: the instance is held, and what it was asked for is noted.
 * @param words after `trees`
 * @returns if it is to be done the long way; nothing has happened then that would not happen there, too
 */
export function startKept(words: readonly string[], env: Environment): void {
  const line = ownLine(words);
  const directory = keptDirectory(seemingPrefix(words, env), { cwd: line.cwd, env, uid: process.geteuid?.() ?? 0 });
  const entry = directory === undefined ? undefined : readEntry(directory, fileNameOf(line));
  if (entry === undefined || !isSameLine(entry.launch.line, line)) return;
  const { variables, inputs, held, start } = entry.launch;
  if (!variables.every(([name, value]) => observeVariable(name, env[name]) === value)) return;
  if (!areUnchanged(inputs.slice(0, held))) return;
  if (start.kind === 'exec') joinKept(start);
  else runKept(start, entry.plan, inputs.slice(held));
}

function areUnchanged(inputs: readonly Input[]): boolean {
  return inputs.every(([kind, path, observed]) => observe(kind, path) === observed);
}

/** @param inputs that can be relied on only while the instance is held */
function runKept(start: KeptRun, plan: Entry['plan'], inputs: readonly Input[]): void {
  const claim = tryClaim(start.runDir);
  // Somebody has to wait, to choose another name, or to be told.
  if (typeof claim === 'string') return;
  using _claim: Claim = claim;
  if (!areUnchanged(inputs)) return;
  const { spec } = start;
  const now = new Date().toISOString();
  writeSpecFiles(start.specDirectories, spec === null ? undefined : `${spec[0]}${now}${spec[1]}`);
  const fd = memfd('trees-plan', plan);
  if (start.explain) writeSync(STDERR, KEPT_NOTICE);
  execLauncher([...start.flags, `--hold-fd=${claim.fd}`, `--plan-fd=${fd}`], {
    keep: [claim.fd, fd],
    env: start.environment,
  });
}

/** Only what certainly runs: what to say of anything else is known to the long way. */
function joinKept({ runDir, flags }: KeptExec): void {
  const state = readInstanceState(runDir);
  if (state?.status !== 'running' || state.boot !== bootId() || !isProcessAlive(state.monitor)) return;
  execLauncher(['--exec', runDir, ...flags]);
}
