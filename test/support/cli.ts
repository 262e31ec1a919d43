/** The real binary over one machine's state, for tests that share a store; `createRig` is a machine of its own. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { at } from './json.js';
import { projectRoot, type RunOptions, type RunResult, runProgram } from './rig.js';

/** A command line of `trees` over the state below `root`. */
export function treesCommand(root: string, args: readonly string[]): readonly [string, ...string[]] {
  return [process.execPath, join(projectRoot, 'dist/cli/bin.js'), '--root', root, ...args];
}

/** Runs `trees` over the state below `root`. @param before a program to run it with: `['setpriv', …]` */
export async function trees(
  root: string,
  args: readonly string[],
  before: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> {
  const [program = '', ...rest] = [...before, ...treesCommand(root, args)];
  return await runProgram(program, rest, { cwd: dirname(root), ...options, env: { NO_COLOR: '1', ...options.env } });
}

export interface Cli {
  /** Runs a command to its end, whatever comes of it. */
  readonly trees: (...args: string[]) => Promise<RunResult>;
  /** Expects success. @returns what it printed */
  readonly ok: (...args: string[]) => Promise<string>;
  /** Expects success. @returns its `--json` document */
  readonly json: (...args: string[]) => Promise<unknown>;
  /** With `--json`, whatever comes of it. */
  readonly answer: (...args: string[]) => Promise<{ status: number | null; document: unknown; stderr: string }>;
  /** Expects a failure of this code, said as every failure is. @returns what was said, and its document */
  readonly fails: (code: string, ...args: string[]) => Promise<{ stderr: string; document: unknown }>;
}

/** @param root what `--root` is, asked each time: a fixture is made after the tests that share it are declared */
export function cli(root: () => string): Cli {
  const run: Cli['trees'] = async (...args) => await trees(root(), args);
  const ok: Cli['ok'] = async (...args) => {
    const { status, stdout, stderr } = await run(...args);
    assert.equal(status, 0, `${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const answer: Cli['answer'] = async (...args) => {
    const { status, stdout, stderr } = await run(...args, '--json');
    return { status, document: JSON.parse(stdout), stderr };
  };
  return {
    trees: run,
    ok,
    json: async (...args) => JSON.parse(await ok(...args, '--json')),
    answer,
    fails: async (code, ...args) => {
      const { status, document, stderr } = await answer(...args);
      assert.equal(status, code === 'USAGE' ? 2 : 1, `${args.join(' ')}: ${JSON.stringify(document)}${stderr}`);
      assert.equal(at(document, 'error', 'code'), code, JSON.stringify(document));
      assert.match(stderr, /^error: .+\nhint: .+/m, 'an error says what to do');
      return { stderr, document };
    },
  };
}
