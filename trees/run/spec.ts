import * as z from 'zod/mini';
import { capabilityNames } from './capabilities.js';
import { limitsSchema } from './limits-schema.js';
import { healthSchema, servicesSchema } from './service-spec.js';
import { command, commandName, environment, path, port, seconds, stopSignal, user, word } from './spec-parts.js';

/**
 * How an app runs: written under `run:` in an image definition and stored as JSON in the layer commit's metadata
 * (`trees.run`). All times are in seconds. Names and meanings follow podman and systemd where they have the same thing.
 */

export const portSchema = z.union([
  port,
  z.strictObject({
    port: port.check(z.describe('port inside the container')),
    host: z.optional(port).check(z.describe('suggested port outside')),
    protocol: z.optional(z.enum(['tcp', 'udp'])).check(z.describe('default tcp')),
    name: z.optional(word),
  }),
]);

export const volumeSchema = z.strictObject({
  path: path.check(z.describe('mount point in the container')),
  name: z.optional(word).check(z.describe('name below data/<instance>/volumes; default made from the path')),
  mode: z
    .optional(z.string().check(z.regex(/^[0-7]{3,4}$/, 'expected an octal mode such as "0750"')))
    .check(z.describe('mode of the volume’s directory when it is created; default 0755')),
  user: z.optional(user).check(z.describe('owner of the directory when it is created; default that of the app')),
});

export const logSchema = z.strictObject({
  store: z.optional(z.boolean()).check(z.describe('keep output in files; default true')),
  maxSize: z.optional(z.int().check(z.nonnegative())).check(z.describe('bytes a file; default 10 MiB, 0: no limit')),
  maxFiles: z
    .optional(z.int().check(z.minimum(1), z.maximum(9999)))
    .check(z.describe('files of each service, the current one included; default 5')),
  compress: z.optional(z.boolean()).check(z.describe('compress rotated files with gzip; default false')),
  forward: z.optional(z.enum(['journald', 'syslog'])).check(z.describe('log of the machine that gets a copy')),
  rate: z
    .optional(z.int().check(z.nonnegative()))
    .check(z.describe('bytes a second a service may log; default no limit')),
  burst: z
    .optional(z.int().check(z.nonnegative()))
    .check(z.describe('bytes it may log at once; default those of a second')),
  mode: z
    .optional(z.enum(['non-blocking', 'blocking']))
    .check(z.describe('whether a slow reader of the console costs lines (default) or holds up the services')),
  prefix: z.optional(z.boolean()).check(z.describe('label lines on the console; default true')),
});

const capabilities = z.array(z.enum([...capabilityNames, 'ALL']));

export const runSpecSchema = z.strictObject({
  exec: z.optional(command).check(z.describe('default command: program and arguments')),
  env: z.optional(environment),
  user: z.optional(user).check(z.describe('USER[:GROUP] by name (from the tree’s passwd) or number; default root')),
  workdir: z.optional(path).check(z.describe('working directory; default /')),
  hostname: z
    .optional(z.string().check(z.regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/, 'expected a host name')))
    .check(z.describe('default: the name of the instance')),
  mode: z
    .optional(z.enum(['process', 'services', 'init']))
    .check(z.describe('one process, a set of services, or a system with its own init; default: what is declared')),
  ports: z.optional(z.array(portSchema)).check(z.describe('ports it listens on')),
  volumes: z.optional(z.array(volumeSchema)).check(z.describe('directories whose content survives updates')),
  tmpfs: z.optional(z.array(path)).check(z.describe('directories kept in memory')),
  readOnly: z.optional(z.boolean()).check(z.describe('no overlay over the tree: only volumes and tmpfs are writable')),
  services: z.optional(servicesSchema).check(z.describe('supervised processes by name')),
  health: z.optional(healthSchema).check(z.describe('of the main process')),
  log: z.optional(logSchema).check(z.describe('where the output goes')),
  limits: z.optional(limitsSchema).check(z.describe('how much it may use, unless whoever runs it says otherwise')),
  commands: z
    .optional(z.record(commandName, command))
    .check(z.describe('commands that are put into a directory of PATH: name, and program with arguments')),
  stopSignal: z.optional(stopSignal),
  stopTimeout: z.optional(seconds).check(z.describe('seconds between the stop signal and KILL; default 10')),
  capabilities: z
    .optional(z.strictObject({ add: z.optional(capabilities), drop: z.optional(capabilities) }))
    .check(z.describe('changes to the default set, by name without CAP_')),
});

export type RunSpec = z.infer<typeof runSpecSchema>;
export type { HealthSpec } from './service-spec.js';
export type PortSpec = z.infer<typeof portSchema>;
export type VolumeSpec = z.infer<typeof volumeSchema>;
