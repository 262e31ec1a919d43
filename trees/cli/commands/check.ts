import { type CheckResult, checkMachine } from '../../check/index.js';
import { defineCommand } from '../command.js';

export const command = defineCommand({
  name: 'check',
  aliases: ['ck'],
  summary: 'can this machine do it: what is missing and why',
  description:
    'Tries what trees needs: the native parts, the store and its file system, the features of the kernel, and the programs ' +
    'for building. Exit status 1 if something is missing that running apps needs.',
  positionals: [],
  options: {},
  examples: [
    ['check', 'look at this machine'],
    ['check --root /srv/x', 'with the store below another directory'],
  ],
  async handler(context) {
    const checks = await checkMachine({ root: context.settings.root, path: context.env['PATH'] ?? '' });
    const able = checks.every((check) => check.status !== 'missing');
    return { json: { ok: able, checks }, text: describe(checks), status: able ? 0 : 1 };
  },
});

function describe(checks: readonly CheckResult[]): string {
  const width = Math.max(...checks.map((check) => check.id.length));
  return checks
    .flatMap(({ id, status, why, hint }) => {
      const line = `${status.padEnd('missing'.length)}  ${id.padEnd(width)}  ${why}`;
      return hint === '' ? [line] : [line, `${' '.repeat('missing'.length + width + 4)}→ ${hint}`];
    })
    .map((line) => `${line}\n`)
    .join('');
}
