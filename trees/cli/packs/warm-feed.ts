import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { makeKeyPair } from '../../../releases/key-file.js';
import { signFile } from '../../../releases/sign.js';
import { machineArch } from '../../config/leaves.js';
import { formatPublicKey } from '../../feed/minisign.js';
import type { FeedIndex } from '../../feed/schema.js';

/** A feed on the loopback interface, for commands that fetch. */
export interface WarmFeed {
  readonly url: string;
  /** File of the key that signs it. */
  readonly key: string;
  readonly close: () => void;
}

/** What the app in there is called. */
export const OFFERED = 'offered';

/**
 * Serves a feed that offers an app and its base, whose bundles are none: an installation gets as far as reading them.
 * @param root directory for the key
 * @returns undefined where nothing may listen
 */
export async function serveFeed(root: string): Promise<WarmFeed | undefined> {
  const signer = makeKeyPair().key;
  const key = join(root, 'warm.pub');
  writeFileSync(key, formatPublicKey(signer.public));
  const bundle = Buffer.alloc(64 * 1024);
  const index = Buffer.from(JSON.stringify(makeIndex(bundle)));
  const files = new Map<string, Buffer | string>([
    ['/index.json', index],
    ['/index.json.minisig', signFile(index, signer, { file: 'index.json', sequence: 1, now: new Date() })],
    ['/bundle', bundle],
  ]);
  const server = createServer(({ url = '' }, response) => {
    const file = files.get(url);
    if (file === undefined) response.writeHead(404).end();
    else response.end(file);
  });
  return await new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(0, '127.0.0.1', () => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of a server on TCP
      const { port } = server.address() as AddressInfo;
      const close = (): void => {
        server.closeAllConnections();
        server.close();
      };
      resolve({ url: `http://127.0.0.1:${port}/`, key, close });
    });
  });
}

function makeIndex(bytes: Buffer): FeedIndex {
  const released = new Date(0).toISOString();
  const arch = machineArch();
  const sum = (of: string | Buffer): string => createHash('sha256').update(of).digest('hex');
  const content = (of: string) => ({ version: '1.0.0', arch, commit: sum(of), size: 1, files: 1, released });
  const bundle = (to: string): FeedIndex['bundles'][number] => {
    const size = bytes.length;
    return { from: null, to, file: 'bundle', encoding: 'fast', size, sha256: sum(bytes), rawSize: size, writes: size };
  };
  const base = content('base');
  const app = { ...content('app'), base: { name: 'below', range: '*', tested: '1.0.0', tree: sum('tree') } };
  return {
    schema: 1,
    feed: 'warm',
    sequence: 1,
    created: released,
    expires: '9999-01-01T00:00:00Z',
    bases: { below: { summary: '', versions: [base] } },
    apps: { [OFFERED]: { summary: '', versions: [app] } },
    bundles: [bundle(base.commit), bundle(app.commit)],
  };
}
