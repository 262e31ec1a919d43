import { accessSync, constants, existsSync as exists, readFileSync, statSync } from 'node:fs';
import { type InputKind, observe, observeVariable } from './input-kinds.js';

/*
 * What the outcome of a line rests on is noted where it is read, so that the outcome can be kept and used again as long as
 * all of that is unchanged. Whatever `trees run` and `trees exec` decide by is read through these functions, which are
 * those of node:fs while nothing is recorded. What cannot be told to be unchanged has to call `noteUnknowable`.
 */

/** What was observed of one input; `observe(kind, path)` says whether that still is so. */
export type Input = readonly [kind: InputKind, path: string, observed: string];

/** An environment variable, and what was observed of it. */
export type VariableInput = readonly [name: string, value: string | null];

export interface Recording {
  /** In the order in which they were read first. Those from `held` on were read while the instance was held. */
  readonly inputs: readonly Input[];
  readonly held: number;
  readonly variables: readonly VariableInput[];
  /** Why nothing can be kept; undefined: it can. */
  readonly unknowable: string | undefined;
}

class Recorder {
  readonly inputs = new Map<string, Input>();
  readonly variables = new Map<string, string | null>();
  held: number | undefined;
  unknowable: string | undefined;
}

/** A process runs one line. */
let recorder: Recorder | undefined;

/** From here on inputs are noted. */
export function startRecording(): void {
  recorder = new Recorder();
}

/** What was noted so far; undefined if nothing is recorded. */
export function recorded(): Recording | undefined {
  if (recorder === undefined) return undefined;
  const { inputs, variables, held, unknowable } = recorder;
  return { inputs: [...inputs.values()], held: held ?? inputs.size, variables: [...variables], unknowable };
}

/** From here on the instance is held: what is read after this is looked at again by whoever holds it. */
export function noteHeld(): void {
  if (recorder !== undefined) recorder.held ??= recorder.inputs.size;
}

/** @param why what the outcome rests on that cannot be told to be unchanged, e.g. `the time` */
export function noteUnknowable(why: string): void {
  if (recorder !== undefined) recorder.unknowable ??= why;
}

/** Notes what an input is now. */
export function noteInput(kind: InputKind, path: string): void {
  const key = `${kind} ${path}`;
  // The first look counts: what changes in between is found to have changed.
  if (recorder?.inputs.has(key) === false) recorder.inputs.set(key, [kind, path, observe(kind, path)]);
}

/** The content of a text file. */
export function readTextFile(path: string): string {
  if (recorder === undefined) return readFileSync(path, 'utf8');
  // Before it is read: what changes while it is read shows later.
  noteInput('file', path);
  const status = statSync(path, { throwIfNoEntry: false });
  const content = readFileSync(path);
  // A pipe, or a file of the kernel's making: its status does not tell its content.
  if (status?.isFile() !== true || content.length !== status.size) noteUnknowable(path);
  return content.toString('utf8');
}

/** The content of a file of the kernel's making. */
export function readKernelFile(path: string): string {
  noteInput(path.endsWith('/mountinfo') ? 'cgroup-mounts' : 'text', path);
  return readFileSync(path, 'utf8');
}

export function existsSync(path: string): boolean {
  noteInput('there', path);
  return exists(path);
}

const accessModes = { visible: constants.F_OK, writable: constants.W_OK, executable: constants.X_OK } as const;

/** Whether this process may do that. */
export function may(access: keyof typeof accessModes, path: string): boolean {
  noteInput(access, path);
  try {
    accessSync(path, accessModes[access]);
    return true;
  } catch {
    return false;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** An environment that notes which of its variables are looked at. */
export function recordedEnvironment(environment: Environment): Environment {
  const note = (name: string): string | undefined => {
    const value = environment[name];
    recorder?.variables.set(name, observeVariable(name, value));
    return value;
  };
  return new Proxy(environment, {
    get: (_, name) => (typeof name === 'string' ? note(name) : undefined),
    has: (_, name) => typeof name === 'string' && note(name) !== undefined,
    getOwnPropertyDescriptor: (target, name) => {
      if (typeof name === 'string') note(name);
      return Reflect.getOwnPropertyDescriptor(target, name);
    },
    ownKeys: (target) => {
      noteUnknowable('all variables of the environment');
      return Reflect.ownKeys(target);
    },
  });
}
