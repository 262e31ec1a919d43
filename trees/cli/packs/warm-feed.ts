import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { makeKeyPair } from '../../../releases/key-file.js';
import { feedFile } from '../../feed/feed.js';
import { formatPublicKey } from '../../feed/minisign.js';
import { makeIndex, type Offer } from './warm-index.js';

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
  const { index, signature } = makeIndex(offer(bundle), signer);
  const files = new Map<string, Buffer | string>([
    [`/${feedFile.index}`, index],
    [`/${feedFile.signature}`, signature],
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

function offer(bytes: Buffer): Offer {
  const sum = (of: string | Buffer): string => createHash('sha256').update(of).digest('hex');
  const bundle = (to: string): Offer['bundles'][number] => {
    const size = bytes.length;
    return { from: null, to, file: 'bundle', encoding: 'fast', size, sha256: sum(bytes), rawSize: size, writes: size };
  };
  const [base, app] = [sum('base'), sum('app')];
  return {
    feed: 'warm',
    base: { name: 'below', commit: base },
    app: { name: OFFERED, commit: app },
    tree: sum('tree'),
    bundles: [bundle(base), bundle(app)],
  };
}
