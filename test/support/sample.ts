import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rig } from './rig.js';

/** A publisher's side: a small busybox base, an app on it, a key and a signed feed. */
export interface Sample {
  /** Publisher's `--root`. */
  readonly publisher: string;
  /** Feed directory. */
  readonly feed: string;
  /** `dir:` URL of it. */
  readonly url: string;
  readonly secretKey: string;
  readonly publicKey: string;
  readonly definitions: string;
  /** Builds and releases again, after a definition was changed. */
  publish(names?: readonly string[]): Promise<void>;
  /** Writes the app's definition. */
  writeApp(app: SampleApp): Promise<void>;
  /** Writes a new version of the base's definition. */
  writeBase(version: string): Promise<void>;
}

export interface SampleApp {
  readonly version: string;
  readonly greeting: string;
  /** Range of the base; default `^1`. */
  readonly range?: string;
}

/**
 * The base has /etc/removed (a file), /etc/emptied/ and /etc/replaced/ (directories) for the app `hello` to delete, to
 * empty and to replace by a file.
 */
function baseDefinition(version: string): string {
  return `kind: base
name: mini
summary: busybox base for tests
version: { fixed: ${version} }
build:
  builder: busybox
  files:
    - { path: /etc/removed, content: "to be removed\\n" }
    - { path: /etc/kept, content: "kept from ${version}\\n" }
    - { path: /etc/emptied, directory: true }
    - { path: /etc/emptied/one, content: "1\\n" }
    - { path: /etc/replaced, directory: true }
    - { path: /etc/replaced/inside, content: "inside\\n" }
`;
}

function appDefinition({ version, greeting, range = '^1' }: SampleApp): string {
  return `kind: app
name: hello
summary: says hello
version: { fixed: ${version} }
from: { base: mini, range: "${range}" }
build:
  builder: dir
  source: ./hello
  steps:
    - run: |
        rm /etc/removed
        rm -r /etc/emptied /etc/replaced
        mkdir /etc/emptied
        echo "now a file" > /etc/replaced
        echo "${greeting}" > /etc/greeting
run:
  exec: [/usr/bin/hello]
  env: { GREETED: world }
`;
}

/** Builds, signs and publishes the sample below the rig's directory. Needs root. */
export async function createSample(rig: Rig): Promise<Sample> {
  const publisher = rig.path('publisher');
  const definitions = rig.path('definitions');
  const feed = rig.path('feed');
  const secretKey = rig.path('sample.key');
  const program = join(definitions, 'hello/usr/bin/hello');
  await mkdir(join(program, '..'), { recursive: true });
  await writeFile(program, '#!/bin/sh\necho "$(cat /etc/greeting), $GREETED"\n');
  await chmod(program, 0o755);
  const asPublisher = async (args: readonly string[]): Promise<void> => {
    const result = await rig.trees(args, { env: { TREES_ROOT: publisher } });
    if (result.status !== 0) throw new Error(`trees ${args.join(' ')} gave ${result.status}:\n${result.stderr}`);
  };
  const sample: Sample = {
    publisher,
    feed,
    url: `dir:${feed}`,
    secretKey,
    publicKey: join(feed, 'trees.pub'),
    definitions,
    async publish(names = ['mini', 'hello']) {
      await asPublisher(['build', ...names, '--definitions', definitions]);
      await asPublisher(['release', '--no-build', '--to', `dir:${feed}`, '--key', secretKey]);
    },
    writeBase: (version) => writeFile(join(definitions, 'mini.yaml'), baseDefinition(version)),
    writeApp: (app) => writeFile(join(definitions, 'hello.yaml'), appDefinition(app)),
  };
  await sample.writeBase('1.0.0');
  await sample.writeApp({ version: '1.0.0', greeting: 'hello' });
  await asPublisher(['key', 'generate', '-o', secretKey]);
  await sample.publish();
  return sample;
}
