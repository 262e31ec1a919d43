import * as z from 'zod/mini';
import { parseCpuList } from './limits.js';

/** `run.limits` of a definition: what the app may use unless whoever runs it says otherwise. */

const size = z
  .union([
    z.int().check(z.positive()),
    z.string().check(z.regex(/^[1-9]\d{0,12}[bkmgtBKMGT]?$/, 'expected a size such as 512m')),
  ])
  .check(z.describe('bytes, or a number with a unit: 512m, 2g'));
const list = z.string().check(z.refine((text) => parseCpuList(text) !== undefined, 'expected a list such as 0-3,6'));

export const limitsSchema = z.strictObject({
  memory: z.optional(size).check(z.describe('memory')),
  memorySwap: z
    .optional(z.union([z.literal(-1), size]))
    .check(z.describe('memory and swap together; -1: any amount of swap; default twice the memory')),
  memoryReservation: z.optional(size).check(z.describe('memory that is taken from others first')),
  cpus: z.optional(z.number().check(z.minimum(0.01))).check(z.describe('processors’ worth of time, e.g. 0.5')),
  cpusetCpus: z.optional(list).check(z.describe('processors to run on')),
  cpusetMems: z.optional(list).check(z.describe('memory nodes to use')),
  cpuShares: z
    .optional(z.int().check(z.minimum(2), z.maximum(262_144)))
    .check(z.describe('share of the processors against others, who have 1024')),
  pids: z.optional(z.int().check(z.positive())).check(z.describe('processes and threads')),
  ioWeight: z
    .optional(z.int().check(z.minimum(10), z.maximum(1000)))
    .check(z.describe('share of the disks against others, who have 100')),
});

export type DeclaredLimits = z.infer<typeof limitsSchema>;
