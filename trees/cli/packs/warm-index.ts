import type { SecretKey } from '../../../releases/key-file.js';
import { signFile } from '../../../releases/sign.js';
import { machineArch } from '../../config/leaves.js';
import { feedFile } from '../../feed/feed.js';
import type { BundleEntry, FeedIndex } from '../../feed/schema.js';

/** Of the app and of its base. */
export const VERSION = '1.0.0';

export interface Offer {
  readonly feed: string;
  readonly base: { readonly name: string; readonly commit: string };
  readonly app: { readonly name: string; readonly commit: string };
  /** The composed commit. */
  readonly tree: string;
  readonly bundles: BundleEntry[];
}

/** The index of a feed that offers an app and its base, and its signature. */
export function makeIndex(offer: Offer, signer: SecretKey): { readonly index: Buffer; readonly signature: string } {
  const { base, app } = offer;
  const released = new Date(0).toISOString();
  const content = { version: VERSION, arch: machineArch(), size: 1, files: 1, released };
  const on = { name: base.name, range: '*', tested: VERSION, tree: offer.tree };
  const document: FeedIndex = {
    schema: 1,
    feed: offer.feed,
    sequence: 1,
    created: released,
    expires: '9999-01-01T00:00:00Z',
    bases: { [base.name]: { summary: '', versions: [{ ...content, commit: base.commit }] } },
    apps: { [app.name]: { summary: '', versions: [{ ...content, commit: app.commit, base: on }] } },
    bundles: offer.bundles,
  };
  const index = Buffer.from(JSON.stringify(document));
  return { index, signature: signFile(index, signer, { file: feedFile.index, sequence: 1, now: new Date() }) };
}
