import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { at } from './json.js';
import { createRig, type Rig, type RunResult } from './rig.js';

/** Apps on Debian, built from its packages and installed. Needs root and a Debian mirror. */
export interface DebianRig extends Rig {
  /** Runs `trees` and expects success. */
  ok(args: readonly string[]): Promise<RunResult>;
  /** Runs a command in an instance. */
  inside(instance: string, ...words: string[]): Promise<RunResult>;
}

/** What an app's definition says beside what all have. */
export interface DebianApp {
  readonly packages: readonly string[];
  readonly files?: readonly object[];
  readonly run: object;
}

export async function createDebianRig(apps: Readonly<Record<string, DebianApp>>): Promise<DebianRig> {
  const rig = await createRig();
  const ok: DebianRig['ok'] = async (args) => {
    const result = await rig.trees(args, { timeout: 300_000 });
    assert.equal(result.status, 0, `trees ${args.join(' ')}: ${result.stdout}${result.stderr}`);
    return result;
  };
  await mkdir(rig.path('definitions'));
  const files = Object.keys(apps).map((name) => rig.path('definitions', `${name}.json`));
  for (const [index, [name, { packages, files: content = [], run }]] of Object.entries(apps).entries()) {
    const definition = {
      kind: 'app',
      name,
      summary: `${name}, for tests`,
      from: { base: 'deb', range: '*' },
      version: { fixed: '1.0.0' },
      build: { packages, files: content },
      run,
    };
    await writeFile(files[index] ?? '', JSON.stringify(definition));
  }
  const built = await rig.json(['build', 'deb', ...files], { timeout: 900_000 });
  for (const index of [0, ...files.map((_, i) => i + 1)]) {
    const file = rig.path(`${index}.delta.zst`);
    const ref = String(at(built, 'images', index, 'ref'));
    await ok(['bundle', 'create', '--quick', '--repo', `${rig.store}/build/repo`, '--to', ref, '-o', file]);
    await ok(['bundle', 'install', file, '--trust-unsigned']);
  }
  return {
    ...rig,
    ok,
    inside: (instance, ...words) => rig.trees(['exec', instance, '--', ...words]),
    async [Symbol.asyncDispose]() {
      await rig.trees(['stop', '--all', '-t', '1']);
      await rig[Symbol.asyncDispose]();
    },
  };
}
