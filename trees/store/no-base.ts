import type { Checksum } from '../ostree/types.js';
import { commitKey, refName } from './metadata.js';
import type { Store } from './store.js';

/** What trees that are not layers go on: an empty base, the same in every store. */
export const NO_BASE = { name: 'none', version: '0.0.0' } as const;

/** Writes the empty base, under its ref. The caller holds the store's shared lock. */
export async function ensureNoBase({ repo, signal }: Store, arch: string): Promise<Checksum> {
  const { name, version } = NO_BASE;
  const ref = refName.base(name, arch, version);
  const known = (await repo.listRefs()).get(ref);
  if (known !== undefined && (await repo.hasObject('commit', known))) return known;
  await using transaction = await repo.beginTransaction({ signal });
  const commit = await repo.writeCommit({
    rootTree: await repo.writeDirTree({ files: [], dirs: [] }),
    rootMeta: await repo.writeDirMeta({ uid: 0, gid: 0, mode: 0o40755, xattrs: [] }),
    subject: 'nothing',
    timestamp: 0,
    metadata: {
      [commitKey.kind]: { type: 's', value: 'base' },
      [commitKey.name]: { type: 's', value: name },
      [commitKey.version]: { type: 's', value: version },
      [commitKey.arch]: { type: 's', value: arch },
    },
  });
  transaction.setRef(ref, commit);
  await transaction.commit();
  return commit;
}
