import { mkdirSync } from 'node:fs';
import { newestFile } from '../newest.js';
import { resolvePayload } from '../payload.js';
import type { BaseBuilder, BaseInputs, BuilderContext } from './builder.js';

/** A root file system that is already there, as a directory. */
export const dir: BaseBuilder = { missing: async () => [], resolve: (context) => resolveSource(context, 'dir') };

/** @throws TreesError `BUILD_FAILED` naming the source when it cannot be had */
export async function resolveSource(context: BuilderContext, builder: 'dir' | 'tar'): Promise<BaseInputs> {
  const payload = await resolvePayload({ ...context, owners: 'keep' }, builder, context.definition.build);
  return {
    digestOf: { source: payload.digest },
    epoch: newestFile,
    build: async (rootfs) => {
      mkdirSync(rootfs);
      await payload.stage(rootfs);
    },
  };
}
