import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { compilePlan } from '../../trees/run/compile.js';
import { servicesSchema } from '../../trees/run/service-spec.js';

const project = join(import.meta.dirname, '..', '..');

export const missingForMachine: string | false =
  spawnSync('cc', ['--version']).status === 0 ? false : 'cc is missing (package gcc)';

/** The init's state machine on a clock that jumps (`trees/init/test/machine.c`), with the sanitizers. */
export interface Machine extends Disposable {
  /** What it does, one line each, for commands, one each. `services` is what a definition has under `services:`. */
  run(services: object, commands: readonly string[]): string[];
}

export function buildMachine(): Machine {
  const directory = mkdtempSync(join(tmpdir(), 'trees-machine-'));
  const program = join(directory, 'machine');
  const sources = [
    join(project, 'trees/init/test/machine.c'),
    ...cFiles('trees/init', 'services'),
    ...cFiles('trees/launcher', 'plan'),
    join(project, 'trees/launcher/util.c'),
  ];
  const flags = ['-std=c17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-g', '-O1'];
  const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'];
  const built = spawnSync('cc', [...flags, ...sanitizers, ...sources, '-o', program], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`cannot build the machine: ${built.stderr}`);
  return {
    run: (services, commands) => {
      const plan = join(directory, 'plan');
      writeFileSync(
        plan,
        compilePlan({
          lower: ['/tree'],
          upper: { kind: 'ephemeral' },
          userns: 'host',
          net: 'none',
          argv: ['-'],
          env: {},
          services: z.parse(servicesSchema, services),
        }),
      );
      const { status, stdout, stderr } = spawnSync(program, [plan], {
        input: commands.map((command) => `${command}\n`).join(''),
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      if (status !== 0) throw new Error(`the machine ended with ${status}: ${stdout.slice(-2000)}${stderr}`);
      return stdout.split('\n').filter((line) => line !== '');
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function cFiles(directory: string, prefix: string): string[] {
  return readdirSync(join(project, directory))
    .filter((name) => name.startsWith(prefix) && name.endsWith('.c'))
    .map((name) => join(project, directory, name));
}
