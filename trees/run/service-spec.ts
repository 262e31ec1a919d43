import * as z from 'zod/mini';
import { findDependencyProblem } from './dependencies.js';
import { rlimitNames } from './rlimits.js';
import { command, environment, path, port, positiveSeconds, seconds, stopSignal, user, word } from './spec-parts.js';

/** How the services of an app run: `services:` in a definition, and what `trees run --services FILE` reads. */

/** A literal address: there is no name resolution where these are used. */
const ADDRESS = String.raw`(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\])`;
const tcpAddress = new RegExp(`^${ADDRESS}:\\d{1,5}$`);
const httpUrl = new RegExp(`^http://${ADDRESS}(?::\\d{1,5})?(?:/[\\x21-\\x7e]*)?$`);
const socketText = new RegExp(`^(?:(?:tcp|udp):(?:${ADDRESS}:)?\\d{1,5}|/[^\\0]{1,106})$`);

export const healthSchema = z
  .strictObject({
    exec: z.optional(command).check(z.describe('command run inside the container; exit status 0 is healthy')),
    tcp: z
      .optional(z.union([port, z.string().check(z.regex(tcpAddress, 'expected PORT or ADDRESS:PORT'))]))
      .check(z.describe('port of 127.0.0.1, or ADDRESS:PORT, that accepts a connection')),
    http: z
      .optional(z.string().check(z.regex(httpUrl, 'expected http://ADDRESS[:PORT][/PATH] with a literal address')))
      .check(z.describe('URL with a literal address or localhost that is answered with a good status')),
    unix: z.optional(path).check(z.describe('unix socket that accepts a connection')),
    status: z
      .optional(z.string().check(z.regex(/^[1-5]\d\d(-[1-5]\d\d)?$/, 'expected a status, or FROM-TO')))
      .check(z.describe('good statuses of an http check; default 200-399')),
    interval: z.optional(positiveSeconds).check(z.describe('seconds between checks; default 30')),
    timeout: z.optional(positiveSeconds).check(z.describe('seconds after which a check is killed; default 30')),
    retries: z
      .optional(z.int().check(z.positive(), z.maximum(1_000_000)))
      .check(z.describe('failures in a row until unhealthy; default 3')),
    startPeriod: z
      .optional(seconds)
      .check(z.describe('seconds at the start in which failures do not count; default 0')),
    onFailure: z
      .optional(z.enum(['none', 'restart', 'stop', 'kill']))
      .check(z.describe('what happens when unhealthy; default none')),
  })
  .check(
    z.refine(
      ({ exec, tcp, http, unix }) => [exec, tcp, http, unix].filter((kind) => kind !== undefined).length === 1,
      'expected one of exec, tcp, http and unix',
    ),
  )
  .check(z.refine(({ http, status }) => status === undefined || http !== undefined, 'status belongs to http'));

const restarts = z.int().check(z.nonnegative(), z.maximum(1_000_000_000));

export const restartSchema = z.union([
  z.enum(['never', 'on-failure', 'always']),
  z.strictObject({
    policy: z.enum(['never', 'on-failure', 'always']),
    max: z.optional(restarts).check(z.describe('restarts in a row; default without limit')),
    delay: z.optional(seconds).check(z.describe('seconds before the first restart, doubled each time; default 1')),
    maxDelay: z.optional(seconds).check(z.describe('upper limit of the delay; default 60')),
    resetAfter: z.optional(seconds).check(z.describe('seconds of running after which the count restarts; default 60')),
  }),
]);

export const eventNames = [
  'started',
  'ready',
  'healthy',
  'unhealthy',
  'exit',
  'exit-success',
  'exit-failed',
  'stopping',
  'stopped',
  'changed',
] as const;
const event = z.enum(eventNames);

/** Runs a service on an event of another one, or at an interval, instead of at the start. */
export const whenSchema = z
  .strictObject({
    source: z.optional(word).check(z.describe('service whose events count')),
    once: z.optional(event).check(z.describe('run at the first such event')),
    each: z.optional(event).check(z.describe('run at every such event')),
    interval: z.optional(positiveSeconds).check(z.describe('run every so many seconds, counted from the event if any')),
    timeout: z.optional(positiveSeconds).check(z.describe('give up waiting for the event after so many seconds')),
  })
  .check(
    z.refine(({ once, each }) => once === undefined || each === undefined, 'expected once or each, not both'),
    z.refine(
      ({ source, once, each }) => (source === undefined) === (once === undefined && each === undefined),
      'expected source together with once or each',
    ),
    z.refine(({ source, interval }) => source !== undefined || interval !== undefined, 'expected source or interval'),
    z.refine(({ source, timeout }) => source !== undefined || timeout === undefined, 'timeout belongs to source'),
  );

const socket = z.union([
  port,
  z.string().check(z.regex(socketText, 'expected tcp:[ADDRESS:]PORT, udp:[ADDRESS:]PORT or a path')),
]);

export const listenSchema = z.union([
  socket,
  z.strictObject({
    socket: socket.check(z.describe('port, tcp:[ADDRESS:]PORT, udp:[ADDRESS:]PORT, or path of a unix socket')),
    name: z.optional(word).check(z.describe('in LISTEN_FDNAMES; default that of the service')),
    backlog: z.optional(z.int().check(z.minimum(1), z.maximum(65535))).check(z.describe('default 4096')),
    mode: z
      .optional(z.string().check(z.regex(/^[0-7]{3,4}$/, 'expected an octal mode such as "0660"')))
      .check(z.describe('of a unix socket; default 0666')),
    datagram: z.optional(z.boolean()).check(z.describe('a unix socket for datagrams')),
  }),
]);

const action = z.enum(['none', 'reload', 'restart', 'stop', 'start']);

export const watchSchema = z.union([
  z.strictObject({
    path: path.check(z.describe('file or directory in the container; its parent must exist')),
    do: z.optional(action).check(z.describe('default: reload if the service can be, else restart')),
    delay: z.optional(seconds).check(z.describe('seconds without a further change before acting; default 0.2')),
  }),
  z.strictObject({
    service: word.check(z.describe('service whose events count')),
    on: z.optional(z.union([event, z.array(event).check(z.minLength(1))])).check(z.describe('default changed')),
    do: z.optional(action),
  }),
]);

const limit = z.union([z.int().check(z.nonnegative()), z.literal('unlimited')]);

export const serviceSchema = z.strictObject({
  exec: command.check(z.describe('program and arguments')),
  env: z.optional(environment).check(z.describe('added to the environment of the app')),
  user: z.optional(user).check(z.describe('user to run as; default that of the app')),
  workdir: z.optional(path),
  rlimits: z
    .optional(z.partialRecord(z.enum(rlimitNames), z.union([limit, z.strictObject({ soft: limit, hard: limit })])))
    .check(z.describe('resource limits by the names of ulimit, e.g. nofile')),
  after: z.optional(z.array(word)).check(z.describe('start after these are ready, if they are started at all')),
  requires: z.optional(z.array(word)).check(z.describe('start these first and stop when one of them stops')),
  wants: z.optional(z.array(word)).check(z.describe('start these first, and go on without those that fail')),
  oneshot: z.optional(z.boolean()).check(z.describe('does something and ends: ready when it has ended with 0')),
  restart: z
    .optional(restartSchema)
    .check(z.describe('default: never for the main service, one-shots and those with `when`; on-failure for others')),
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
  readyTimeout: z
    .optional(positiveSeconds)
    .check(z.describe('seconds until it has to be ready; default 90, one-shots without limit')),
  health: z.optional(healthSchema),
  when: z.optional(whenSchema),
  listen: z
    .optional(z.array(listenSchema).check(z.maxLength(64)))
    .check(z.describe('sockets opened before it starts and passed on as descriptors 3, 4… (LISTEN_FDS)')),
  lazy: z.optional(z.boolean()).check(z.describe('start at the first connection to one of the sockets')),
  watch: z.optional(z.array(watchSchema)).check(z.describe('files and services whose changes it reacts to')),
  main: z.optional(z.boolean()).check(z.describe('its exit ends the container and gives the exit status')),
  pidFile: z.optional(path).check(z.describe('of a daemon that puts itself into the background')),
  stopSignal: z.optional(stopSignal).check(z.describe('default TERM')),
  stopTimeout: z.optional(seconds).check(z.describe('seconds between the stop signal and KILL; default 10')),
  reloadSignal: z.optional(stopSignal).check(z.describe('makes it read its configuration again, e.g. HUP')),
  reload: z.optional(command).check(z.describe('command that does, instead of a signal')),
  preStop: z.optional(command).check(z.describe('run before the stop signal is sent')),
  postStop: z.optional(command).check(z.describe('run after the service has ended, however it ended')),
});

export const servicesSchema = z.record(word, serviceSchema).check((context) => {
  const problem = findDependencyProblem(context.value);
  if (problem !== undefined) context.issues.push({ code: 'custom', message: problem, input: context.value });
});

export type ServiceSpec = z.infer<typeof serviceSchema>;
export type ServicesSpec = z.infer<typeof servicesSchema>;
export type HealthSpec = z.infer<typeof healthSchema>;
export type WatchSpec = z.infer<typeof watchSchema>;
export type ListenSpec = z.infer<typeof listenSchema>;
