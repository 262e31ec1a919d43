import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from '../delta/rounds.js';

/** What the runs of one command took, in milliseconds. */
export interface Times {
  readonly wall: number;
  readonly p10: number;
  readonly p90: number;
  readonly cpu: number;
}

export interface TurnOptions {
  readonly rounds: number;
  readonly warm?: number;
  /** Milliseconds of rest before each run: how it is when somebody types. */
  readonly gap?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** Words before the program that takes turns, such as `unshare …`. */
  readonly wrapper?: readonly string[];
  /** Status that every run must end with; default 0. */
  readonly status?: number;
}

/** Compiles what runs commands in turns. @returns its path */
export function buildSpawner(directory: string): string {
  const program = join(directory, 'spawner');
  const source = fileURLToPath(new URL('spawner.c', import.meta.url));
  const { status, stderr } = spawnSync('musl-gcc', ['-O2', '-static', '-o', program, source], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cannot compile ${source}: ${stderr}`);
  return program;
}

/**
 * Runs commands in turns, so that a busy machine slows all of them.
 * @param commands by name; programs with their paths
 */
export function takeTurns<Name extends string>(
  spawner: string,
  commands: Readonly<Record<Name, readonly string[]>>,
  options: TurnOptions,
): Record<Name, Times> {
  const { rounds, warm = 5, gap = 0, wrapper = [] } = options;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the table has no other keys
  const names = Object.keys(commands) as Name[];
  const words = names.flatMap((name) => ['::', ...commands[name]]);
  const [program = '', ...args] = [...wrapper, spawner, `${rounds}`, `${warm}`, `${gap}`, ...words];
  const result = spawnSync(program, args, { env: options.env ?? {}, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (result.status !== 0) throw new Error(`cannot take turns: ${result.stderr}`);
  const runs = result.stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number));
  const bad = runs.find(([, , , status]) => status !== (options.status ?? 0));
  if (bad !== undefined) throw new Error(`${names[bad[0] ?? 0]} ended with ${bad[3]}: ${result.stderr.slice(0, 2000)}`);
  const entries = names.map((name, index): [Name, Times] => {
    const own = runs.filter(([number]) => number === index);
    const walls = own.map(([, wall = 0]) => wall / 1000).toSorted((a, b) => a - b);
    const at = (part: number): number => walls[Math.floor(walls.length * part)] ?? Number.NaN;
    return [
      name,
      { wall: median(walls), p10: at(0.1), p90: at(0.9), cpu: median(own.map(([, , cpu = 0]) => cpu / 1000)) },
    ];
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one for each name
  return Object.fromEntries(entries) as Record<Name, Times>;
}

export function milliseconds(times: Times): string {
  return `${times.wall.toFixed(2)} ms (${times.cpu.toFixed(2)} ms CPU)`;
}
