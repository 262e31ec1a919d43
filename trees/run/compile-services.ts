import { constants } from 'node:os';
import type { RlimitSpec } from './container.js';
import {
  listenKind,
  MAX_SERVICES,
  NO_LIMIT,
  NO_SERVICE,
  type PlanHealth,
  type PlanService,
  type PlanServiceLink,
  planEvent,
} from './plan-services.js';
import { planRlimit } from './rlimits.js';
import type { HealthSpec, ListenSpec, ServiceSpec, ServicesSpec, WatchSpec } from './service-spec.js';
import { DEFAULT_STOP_TIMEOUT } from './services.js';
import { milliseconds } from './times.js';

const DEFAULT_READY_TIMEOUT = 90;
const DEFAULT_BACKLOG = 4096;
const QUIET = 0.2;

export interface ServicesPlan {
  readonly services: readonly PlanService[];
  readonly serviceLinks: readonly PlanServiceLink[];
}

/**
 * Compiles services into the sections of a launch plan. Pure.
 * @throws RangeError when there are too many
 */
export function planServices(specs: ServicesSpec): ServicesPlan {
  const names = Object.keys(specs);
  if (names.length > MAX_SERVICES) {
    throw new RangeError(`Expected at most ${MAX_SERVICES} services, got ${names.length}`);
  }
  const services: PlanService[] = [];
  const serviceLinks: PlanServiceLink[] = [];
  for (const [name, spec] of Object.entries(specs)) {
    const links = planLinks(name, spec, names);
    services.push(planService(name, spec, { names, linkFirst: serviceLinks.length, linkCount: links.length }));
    serviceLinks.push(...links);
  }
  return { services, serviceLinks };
}

/**
 * The command of a container as its only service, so that its health is looked after: it gets all signals itself, and
 * its end is the container's.
 */
export function planSupervisedCommand(
  argv: readonly string[],
  health: HealthSpec,
  {
    stopTimeout,
    stopSignal,
  }: { readonly stopTimeout?: number | undefined; readonly stopSignal?: StopSignal | undefined },
): ServicesPlan {
  const [first, ...rest] = argv;
  const spec: ServiceSpec = { exec: [first ?? '', ...rest], health, main: true, stopSignal, stopTimeout };
  const { services, serviceLinks } = planServices({ main: spec });
  return { services: services.map((service) => ({ ...service, flags: [...service.flags, 'command'] })), serviceLinks };
}

type StopSignal = NonNullable<ServiceSpec['stopSignal']>;

interface ServicePlace {
  readonly names: readonly string[];
  readonly linkFirst: number;
  readonly linkCount: number;
}

function planService(name: string, spec: ServiceSpec, { names, linkFirst, linkCount }: ServicePlace): PlanService {
  const { ready = 'started', when, health } = spec;
  const event = when?.once ?? when?.each;
  const oneshot = spec.oneshot === true;
  return {
    name,
    flags: [
      ...(spec.main === true ? (['main'] as const) : []),
      ...(oneshot ? (['oneshot'] as const) : []),
      ...(spec.lazy === true ? (['lazy'] as const) : []),
    ],
    argv: spec.exec,
    env: Object.entries(spec.env ?? {}).map(([variable, value]) => `${variable}=${value}`),
    user: spec.user ?? '',
    workdir: spec.workdir ?? '',
    linkFirst,
    linkCount,
    ...planRestart(spec),
    ready: typeof ready === 'object' ? 'fd' : ready,
    readyFd: typeof ready === 'object' ? ready.fd : 0,
    readyTimeout: milliseconds(spec.readyTimeout ?? (oneshot ? 0 : DEFAULT_READY_TIMEOUT)),
    health: health === undefined ? noHealth : planHealth(health),
    whenSource: when?.source === undefined ? NO_SERVICE : names.indexOf(when.source),
    whenEvent: event === undefined ? [] : [event],
    whenEach: when?.each !== undefined,
    whenInterval: milliseconds(when?.interval ?? 0),
    whenTimeout: milliseconds(when?.timeout ?? 0),
    stopSignal: signalNumber(spec.stopSignal ?? 'TERM'),
    stopTimeout: milliseconds(spec.stopTimeout ?? DEFAULT_STOP_TIMEOUT),
    reloadSignal: spec.reloadSignal === undefined ? 0 : signalNumber(spec.reloadSignal),
    preStop: spec.preStop ?? [],
    postStop: spec.postStop ?? [],
    reload: spec.reload ?? [],
    pidFile: spec.pidFile ?? '',
  };
}

function planRestart(
  spec: ServiceSpec,
): Pick<PlanService, 'restart' | 'restartMax' | 'restartDelay' | 'restartMaxDelay' | 'restartReset'> {
  const never = spec.main === true || spec.oneshot === true || spec.when !== undefined;
  const given = spec.restart ?? (never ? 'never' : 'on-failure');
  const {
    policy,
    max,
    delay = 1,
    maxDelay = 60,
    resetAfter = 60,
  } = typeof given === 'object' ? given : { policy: given };
  return {
    restart: policy,
    restartMax: max ?? NO_LIMIT,
    restartDelay: milliseconds(delay),
    restartMaxDelay: milliseconds(Math.max(delay, maxDelay)),
    restartReset: milliseconds(resetAfter),
  };
}

const noHealth: PlanHealth = {
  kind: 'none',
  onFailure: 'none',
  exec: [],
  address: '',
  port: 0,
  host: '',
  path: '',
  statusMin: 0,
  statusMax: 0,
  interval: 0,
  timeout: 0,
  retries: 0,
  startPeriod: 0,
};

function planHealth(spec: HealthSpec): PlanHealth {
  const common = {
    ...noHealth,
    onFailure: spec.onFailure ?? 'none',
    interval: milliseconds(spec.interval ?? 30),
    timeout: milliseconds(spec.timeout ?? 30),
    retries: spec.retries ?? 3,
    startPeriod: milliseconds(spec.startPeriod ?? 0),
  } as const;
  if (spec.exec !== undefined) return { ...common, kind: 'exec', exec: spec.exec };
  if (spec.unix !== undefined) return { ...common, kind: 'unix', address: spec.unix };
  if (spec.tcp !== undefined) return { ...common, kind: 'tcp', ...address(String(spec.tcp)) };
  const { host, pathname, search } = new URL(spec.http ?? '');
  const [from = '200', to = from] = (spec.status ?? '200-399').split('-');
  return {
    ...common,
    kind: 'http',
    ...address(host.includes(':', host.indexOf(']') + 1) ? host : `${host}:80`),
    host,
    path: `${pathname}${search}`,
    statusMin: Number(from),
    statusMax: Number(to),
  };
}

/** `PORT` or `ADDRESS:PORT`. */
function address(text: string, byDefault = '127.0.0.1'): { address: string; port: number } {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (port < 1 || port > 65535) throw new RangeError(`Expected a port from 1 to 65535, got "${text}"`);
  const host = colon < 0 ? byDefault : text.slice(0, colon);
  return { address: host === 'localhost' ? '127.0.0.1' : host.replace(/^\[(.*)\]$/, '$1'), port };
}

function planLinks(name: string, spec: ServiceSpec, names: readonly string[]): PlanServiceLink[] {
  const order = (kind: 'after' | 'requires' | 'wants'): PlanServiceLink[] =>
    (spec[kind] ?? []).map((other) => ({ kind, target: names.indexOf(other) }));
  return [
    ...order('requires'),
    ...order('wants'),
    ...order('after'),
    ...(spec.watch ?? []).map((watch) => planWatch(watch, spec, names)),
    ...(spec.listen ?? []).map((listen) => planListen(listen, name)),
    ...Object.entries(spec.rlimits ?? {}).map(([resource, limit]) => planServiceLimit(resource, limit)),
  ];
}

function planWatch(watch: WatchSpec, spec: ServiceSpec, names: readonly string[]): PlanServiceLink {
  const reloadable = spec.reload !== undefined || spec.reloadSignal !== undefined;
  const action = watch.do ?? (reloadable ? 'reload' : 'restart');
  if ('path' in watch) {
    return { kind: 'file', target: 0, text: watch.path, action, a: BigInt(milliseconds(watch.delay ?? QUIET)) };
  }
  const events = [watch.on ?? 'changed'].flat();
  const number = events.reduce((sum, event) => sum | planEvent[event], 0);
  return { kind: 'watch', target: names.indexOf(watch.service), number, action };
}

function planListen(spec: ListenSpec, service: string): PlanServiceLink {
  const {
    socket,
    name = service,
    backlog = DEFAULT_BACKLOG,
    mode = '0666',
    datagram = false,
  } = typeof spec === 'object' ? spec : { socket: spec };
  const common = { kind: 'listen', name, a: BigInt(backlog) } as const;
  if (typeof socket === 'string' && socket.startsWith('/')) {
    const kind = datagram ? 'unix-datagram' : 'unix';
    return { ...common, target: listenKind[kind], text: socket, number: Number.parseInt(mode, 8) };
  }
  const [, protocol = 'tcp', rest = ''] = /^(?:(tcp|udp):)?(.*)$/.exec(String(socket)) ?? [];
  const { address: text, port } = address(rest, '*');
  return { ...common, target: listenKind[protocol === 'udp' ? 'udp' : 'tcp'], text, number: port };
}

function planServiceLimit(name: string, limit: NonNullable<ServiceSpec['rlimits']>['nofile']): PlanServiceLink {
  const { soft, hard } = typeof limit === 'object' ? limit : { soft: limit ?? 0, hard: limit ?? 0 };
  const value = (bound: number | 'unlimited'): number => (bound === 'unlimited' ? Infinity : bound);
  const rlimit: RlimitSpec = { name, soft: value(soft), hard: value(hard) };
  const { resource, ...values } = planRlimit(rlimit);
  return { kind: 'rlimit', target: resource, number: 1, a: values.soft, b: values.hard };
}

function signalNumber(name: StopSignal): number {
  return constants.signals[`SIG${name}`];
}
