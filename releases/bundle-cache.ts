import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { createBundle } from '../trees/delta/index.js';
import { isErrno } from '../trees/errors.js';
import { writeFileAtomic } from '../trees/feed/files.js';
import { type BundleEntry, indexSchema } from '../trees/feed/schema.js';
import type { Reporter } from '../trees/reporter.js';
import { bundleFile } from './bundle-file.js';
import type { Edge } from './edges.js';

/**
 * Bundles that were made and are not published yet, in a directory beside the build repository. Making one can take
 * many minutes, so that a publisher which was interrupted finds them again.
 */
export interface BundleCache {
  readonly directory: string;
  /** Makes a bundle, or finds it. */
  make(edge: Edge, encoding: BundleEntry['encoding']): Promise<BundleEntry>;
  path(entry: BundleEntry): string;
  drop(entry: BundleEntry): Promise<void>;
}

export interface BundleCacheOptions {
  readonly repoPath: string;
  /** Id of the key that signed the commits: the signatures are inside the bundles. */
  readonly keyId: string;
  readonly quick?: boolean | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

const recordSchema = z.object({ keyId: z.string(), entry: indexSchema.shape.bundles.def.element });

/** What is known of a finished bundle. It is proved before it is published, so its bytes need no check here. */
async function readRecord(path: string, keyId: string): Promise<BundleEntry | undefined> {
  let text: string;
  try {
    text = await readFile(`${path}.json`, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return undefined;
  }
  const record = z.safeParse(recordSchema, document);
  if (!record.success || record.data.keyId !== keyId) return undefined;
  const found = await stat(path).catch(() => undefined);
  return found?.size === record.data.entry.size ? record.data.entry : undefined;
}

/** @param directory created when something is made */
export function bundleCache(directory: string, options: BundleCacheOptions): BundleCache {
  const { repoPath, keyId, reporter, signal } = options;
  const pathOf = (file: string): string => join(directory, file);
  return {
    directory,
    path: ({ file }) => pathOf(file),
    async drop({ file }) {
      await rm(`${pathOf(file)}.json`, { force: true });
      await rm(pathOf(file), { force: true });
    },
    async make(edge, encoding) {
      const { from, to } = edge;
      const file = bundleFile(edge, encoding);
      const known = await readRecord(pathOf(file), keyId);
      if (known?.from === from && known.to === to && known.encoding === encoding) return known;
      await mkdir(directory, { recursive: true });
      using task = reporter.task(`making ${file}`, { unit: 'bytes' });
      const { size, sha256, rawSize, writes, tail } = await createBundle({
        repoPath,
        from: from ?? undefined,
        to,
        output: pathOf(file),
        encoding,
        quick: options.quick,
        signal,
        onProgress: ({ done }) => task.update(done),
      });
      task.done(`made ${file}`);
      const entry: BundleEntry = { from, to, file, encoding, size, sha256, rawSize, writes, tail };
      await writeFileAtomic(`${pathOf(file)}.json`, JSON.stringify({ keyId, entry }));
      return entry;
    },
  };
}
