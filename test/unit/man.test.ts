import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { registry } from '../../trees/cli/registry.js';
import { projectRoot } from '../support/rig.js';

const mandoc = spawnSync('mandoc', ['-T', 'utf8'], { input: '' }).error === undefined;

describe('the manual page', () => {
  const page = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/gen-man.ts'], {
    cwd: projectRoot,
    encoding: 'utf8',
  }).stdout;

  it('has no fault that mandoc finds', { skip: mandoc ? false : 'needs mandoc' }, () => {
    const lint = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning'], { input: page, encoding: 'utf8' });
    assert.equal(lint.stdout, '');
  });

  it('describes every command', () => {
    for (const entry of registry) assert.ok(page.includes(`.Cm ${entry.name}`), entry.name);
  });
});
