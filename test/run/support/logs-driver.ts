import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..', '..', '..');
const launcher = join(root, 'trees', 'launcher');

const FLAGS =
  '-std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined'.split(
    ' ',
  );

/** Builds `test/support/logs-driver.c` with the launcher's logger under ASan and UBSan. @returns its path */
export async function buildLogsDriver(directory: string): Promise<string> {
  const parts = /^(?:logs|log-.*|plan|plan-check.*|util)\.c$/;
  const sources = readdirSync(launcher).filter((name) => parts.test(name));
  const program = join(directory, 'logs-driver');
  await promisify(execFile)('cc', [
    ...FLAGS,
    '-o',
    program,
    join(root, 'test', 'support', 'logs-driver.c'),
    ...sources.map((name) => join(launcher, name)),
  ]);
  return program;
}
