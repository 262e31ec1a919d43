import * as z from 'zod/mini';
import { capabilityNames } from './capabilities.js';
import { findDependencyProblem } from './dependencies.js';

/**
 * How an app runs: written under `run:` in an image definition and stored as JSON in the layer commit's metadata
 * (`trees.run`). All times are in seconds. Names and meanings follow podman and systemd where they have the same thing.
 */

const words = z.array(z.string().check(z.regex(/^[^\0]*$/, 'expected a string without NUL'))).check(z.minLength(1));
const command = words.check(
  z.refine((list) => list[0] !== '', 'expected the first word, the program, not to be empty'),
);
const path = z
  .string()
  .check(z.regex(/^\/[^\0]*$/, 'expected an absolute path'), z.maxLength(4095))
  .check(z.refine((value) => !value.split('/').includes('..'), 'expected a path without ".."'));
const environment = z.record(
  z.string().check(z.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected a variable name')),
  z.string().check(z.regex(/^[^\0]*$/, 'expected a value without NUL')),
);
const seconds = z.number().check(z.nonnegative());
const positiveSeconds = z.number().check(z.positive());
const word = z
  .string()
  .check(z.regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'expected a name of lowercase letters, digits, ".", "_" and "-"'));
/** `USER`, `UID`, `USER:GROUP` or `UID:GID`; names are looked up in the tree's own passwd and group files. */
const user = z
  .string()
  .check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(:[A-Za-z0-9_][A-Za-z0-9_.-]*\$?)?$/, 'expected USER[:GROUP]'));

/** Signals that make sense for stopping a process, without the `SIG` prefix. */
export const stopSignalNames = ['TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'WINCH', 'KILL'] as const;
const stopSignal = z.enum(stopSignalNames);

export const healthSchema = z.strictObject({
  exec: command.check(z.describe('command run inside the container; exit status 0 is healthy')),
  interval: z.optional(positiveSeconds).check(z.describe('seconds between checks; default 30')),
  timeout: z.optional(positiveSeconds).check(z.describe('seconds after which a check is killed; default 30')),
  retries: z.optional(z.int().check(z.positive())).check(z.describe('failures in a row until unhealthy; default 3')),
  startPeriod: z.optional(seconds).check(z.describe('seconds at the start in which failures do not count; default 0')),
  onFailure: z
    .optional(z.enum(['none', 'restart', 'stop', 'kill']))
    .check(z.describe('what happens when unhealthy; default none')),
});

export const restartSchema = z.union([
  z.enum(['never', 'on-failure', 'always']),
  z.strictObject({
    policy: z.enum(['never', 'on-failure', 'always']),
    max: z.optional(z.int().check(z.nonnegative())).check(z.describe('restarts in a row; default without limit')),
    delay: z.optional(seconds).check(z.describe('seconds before the first restart, doubled each time; default 1')),
    maxDelay: z.optional(seconds).check(z.describe('upper limit of the delay; default 60')),
    resetAfter: z.optional(seconds).check(z.describe('seconds of running after which the count restarts; default 60')),
  }),
]);

/** Runs a service on an event of another one, or at an interval, instead of at the start. */
export const whenSchema = z.strictObject({
  source: z.optional(word).check(z.describe('service whose events count')),
  once: z.optional(z.enum(['started', 'healthy', 'unhealthy', 'exit', 'exit-success', 'exit-failed', 'stopping'])),
  each: z.optional(z.enum(['started', 'healthy', 'unhealthy', 'exit', 'exit-success', 'exit-failed', 'stopping'])),
  interval: z.optional(positiveSeconds).check(z.describe('run every so many seconds')),
  timeout: z.optional(positiveSeconds).check(z.describe('give up waiting for the event after so many seconds')),
});

export const serviceSchema = z.strictObject({
  exec: command.check(z.describe('program and arguments')),
  env: z.optional(environment).check(z.describe('added to the environment of the app')),
  user: z.optional(user).check(z.describe('user to run as; default that of the app')),
  workdir: z.optional(path),
  after: z.optional(z.array(word)).check(z.describe('start after these are ready, if they are started at all')),
  requires: z.optional(z.array(word)).check(z.describe('start these first and stop when one of them stops')),
  restart: z.optional(restartSchema).check(z.describe('default: never for the main service, on-failure for others')),
  ready: z
    .optional(
      z.union([
        z.enum(['started', 'notify', 'health']),
        z.strictObject({ fd: z.int().check(z.minimum(3), z.maximum(1023)) }),
      ]),
    )
    .check(
      z.describe('when it counts as ready: started, sd_notify, first healthy check, or a newline on a descriptor'),
    ),
  readyTimeout: z.optional(positiveSeconds),
  health: z.optional(healthSchema),
  when: z.optional(whenSchema),
  main: z.optional(z.boolean()).check(z.describe('its exit ends the container and gives the exit status')),
  stopSignal: z.optional(stopSignal).check(z.describe('default TERM')),
  stopTimeout: z.optional(seconds).check(z.describe('seconds between the stop signal and KILL; default 10')),
  preStop: z.optional(command).check(z.describe('run before the stop signal is sent')),
  postStop: z.optional(command).check(z.describe('run after the service has ended, however it ended')),
});

export const portSchema = z.union([
  z.int().check(z.minimum(1), z.maximum(65535)),
  z.strictObject({
    port: z.int().check(z.minimum(1), z.maximum(65535)).check(z.describe('port inside the container')),
    host: z.optional(z.int().check(z.minimum(1), z.maximum(65535))).check(z.describe('suggested port outside')),
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
  services: z
    .optional(z.record(word, serviceSchema))
    .check(z.describe('supervised processes by name'))
    .check((context) => {
      const problem = findDependencyProblem(context.value ?? {});
      if (problem !== undefined) context.issues.push({ code: 'custom', message: problem, input: context.value });
    }),
  health: z.optional(healthSchema).check(z.describe('of the main process')),
  log: z.optional(logSchema).check(z.describe('where the output goes')),
  stopSignal: z.optional(stopSignal),
  stopTimeout: z.optional(seconds).check(z.describe('seconds between the stop signal and KILL; default 10')),
  capabilities: z
    .optional(z.strictObject({ add: z.optional(capabilities), drop: z.optional(capabilities) }))
    .check(z.describe('changes to the default set, by name without CAP_')),
});

export type RunSpec = z.infer<typeof runSpecSchema>;
export type ServiceSpec = z.infer<typeof serviceSchema>;
export type HealthSpec = z.infer<typeof healthSchema>;
export type PortSpec = z.infer<typeof portSchema>;
export type VolumeSpec = z.infer<typeof volumeSchema>;
