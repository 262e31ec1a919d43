import { usageError } from '../errors.js';
import type { ServicesSpec } from './service-spec.js';

/**
 * Services from a command line: commands with `--` between them. Each is named for its program, with a number when
 * there are several of a name; all are equal, none is started again, and the container ends with the last one.
 *
 * @throws TreesError USAGE
 */
export function parseMulti(words: readonly string[]): ServicesSpec {
  const commands: string[][] = [[]];
  for (const word of words) {
    if (word === '--') commands.push([]);
    else commands.at(-1)?.push(word);
  }
  const programs = commands.map(([program]) => program);
  const bases = programs.map((program) => {
    if (program === undefined || program === '') {
      throw usageError(
        `Expected commands with -- between them, got an empty one`,
        'trees run APP --multi -- a 1 -- b 2',
      );
    }
    return serviceName(program);
  });
  const totals = new Map<string, number>();
  for (const base of bases) totals.set(base, (totals.get(base) ?? 0) + 1);
  const taken = new Set(bases.filter((base) => totals.get(base) === 1));
  const services = commands.map((exec, index): [string, ServicesSpec[string]] => {
    const base = bases[index] ?? '';
    const [program = '', ...rest] = exec;
    return [totals.get(base) === 1 ? base : numbered(base, taken), { exec: [program, ...rest], restart: 'never' }];
  });
  return Object.fromEntries(services);
}

function numbered(base: string, taken: Set<string>): string {
  for (let number = 1; ; number++) {
    const name = `${base}-${number}`;
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}

/** The last part of a path, in the letters of names: `/usr/sbin/php-fpm8.2` is `php-fpm8.2`. */
function serviceName(program: string): string {
  const name = program
    .replace(/\/+$/, '')
    .replace(/^.*\//, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^[^a-z0-9]+|-+$/g, '')
    .slice(0, 56);
  return name === '' ? 'command' : name;
}
