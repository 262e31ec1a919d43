import type { ServiceSpec } from '../../trees/run/service-spec.js';
import type { RunSpec } from '../../trees/run/spec.js';
import { type ShellFile, splitWords } from './shell.js';

/**
 * Conversion of an `image.env` (and the `image.conf` beside it) into what a definition says under `run:`. The files
 * configured containerpilot 3, whose jobs become services, and runtime-tools' `generate`, whose options become volumes,
 * tmpfs and environment.
 */
export interface Conversion {
  /** Of the image, from `RUNC_IMAGE_NAME` or the first service. */
  readonly name: string | undefined;
  readonly run: RunSpec;
  /** What has no place in a definition, and what to do instead. */
  readonly notes: readonly string[];
}

type Note = (text: string) => void;

/** @throws RangeError naming the variable whose value makes no sense */
export function convertEnvironment(env: ShellFile, conf: ShellFile | undefined): Conversion {
  const notes: string[] = [];
  const note: Note = (text) => void notes.push(text);
  const { variables } = env;
  const names = (variables.get('services') ?? '').split(/\s+/).filter((name) => name !== '');
  const services = Object.fromEntries(names.map((name) => [serviceName(name), service(variables, name, note)]));
  const watches = (variables.get('watches') ?? '').split(/\s+/).filter((name) => name !== '');
  const remote = watches.map(serviceName).filter((name) => !(name in services));
  if (remote.length > 0) note(`watches of services elsewhere (${remote.join(', ')}) are left out: there is no Consul`);
  const ports = names.flatMap((name) => port(variables, name));
  const from = conf === undefined ? {} : configuration(conf, note);
  const run: RunSpec = {
    ...from,
    ...(names.length > 0 && { services }),
    ...(ports.length > 0 && { ports }),
  };
  return { name: conf?.variables.get('RUNC_IMAGE_NAME') ?? (names[0] && serviceName(names[0])), run, notes };
}

/** containerpilot wanted host names. */
function serviceName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

function service(variables: ReadonlyMap<string, string>, name: string, note: Note): ServiceSpec {
  const get = (suffix: string): string | undefined => variables.get(`${name}_${suffix}`) || undefined;
  const program = get('exec') ?? `/usr/bin/${name.replaceAll('_', '-')}`;
  const args = get('args')?.split(',,') ?? [];
  const timeout = get('to');
  if (timeout !== undefined) note(`${name}_to=${timeout} is left out: services run as long as they like`);
  return {
    exec: args.length > 0 ? [program, ...args] : words(program, `${name}_exec`),
    restart: restart(get('res'), `${name}_res`),
    ...when(get, name),
    ...health(get, name, note),
  };
}

function words(text: string, variable: string): string[] {
  const list = splitWords(text);
  if (list.length === 0) throw new RangeError(`${variable}: expected a command, got "${text}"`);
  return list;
}

/** containerpilot counts restarts whatever the exit status was; its default is none. */
function restart(text: string | undefined, variable: string): ServiceSpec['restart'] {
  if (text === undefined || text === 'never') return 'never';
  if (text === 'unlimited') return 'always';
  if (/^\d{1,9}$/.test(text)) return Number(text) === 0 ? 'never' : { policy: 'always', max: Number(text) };
  throw new RangeError(`${variable}: expected "unlimited", "never" or a number, got "${text}"`);
}

const EVENT = new Map([
  ['healthy', 'healthy'],
  ['unhealthy', 'unhealthy'],
  ['changed', 'changed'],
  ['exitSuccess', 'exit-success'],
  ['exitFailed', 'exit-failed'],
  ['stopping', 'stopping'],
  ['stopped', 'stopped'],
] as const);

type Get = (suffix: string) => string | undefined;

/** `x_when_freq` is `once:EVENT`, `each:EVENT` or `interval:TIME`; `x_when_src` the service whose event it is. */
function when(get: Get, name: string): Pick<ServiceSpec, 'when'> {
  const frequency = get('when_freq');
  if (frequency === undefined) return {};
  const [key = '', value = ''] = frequency.split(/:(.*)/s);
  if (key === 'interval') return { when: { interval: seconds(value, `${name}_when_freq`) } };
  const event = [...EVENT].find(([known]) => known === value)?.[1];
  const source = get('when_src');
  if ((key !== 'once' && key !== 'each') || event === undefined) {
    const events = [...EVENT.keys()].join(', ');
    throw new RangeError(
      `${name}_when_freq: expected once:EVENT, each:EVENT or interval:TIME with an event of ${events}, got "${frequency}"`,
    );
  }
  if (source === undefined) throw new RangeError(`${name}_when_src: expected the service whose event counts, got none`);
  const timeout = get('when_to');
  return {
    when: {
      source: serviceName(source),
      [key]: event,
      ...(timeout !== undefined && { timeout: seconds(timeout, `${name}_when_to`) }),
    },
  };
}

const INTERVAL = '300';
const TIMEOUT = '60s';
const LIFETIME = '360';

/** A job was unhealthy when no check succeeded for `ttl` seconds: as many failures in a row as fit in. */
function health(get: Get, name: string, note: Note): Pick<ServiceSpec, 'health'> {
  const command = get('health_exec');
  if (command === undefined) return {};
  const interval = seconds(get('health_inter') ?? INTERVAL, `${name}_health_inter`);
  const lifetime = seconds(get('health_ttl') ?? LIFETIME, `${name}_health_ttl`);
  const timeout = seconds(get('health_to') ?? TIMEOUT, `${name}_health_to`);
  const exec = words(command, `${name}_health_exec`);
  const retries = Math.max(1, Math.floor(lifetime / interval));
  const tcp = /^nc\s+(127\.0\.0\.1|localhost)\s+(\d{1,5})$/.exec(command)?.[2];
  // `nc` is in few images, and connecting was all it was for.
  if (tcp !== undefined) note(`${name}_health_exec "${command}" became a check that connects to port ${tcp}`);
  return { health: { ...(tcp === undefined ? { exec } : { tcp: Number(tcp) }), interval, timeout, retries } };
}

const UNIT = new Map([
  ['', 1],
  ['ms', 0.001],
  ['s', 1],
  ['m', 60],
  ['h', 3600],
]);

/** Go's durations; a bare number is seconds. */
function seconds(text: string, variable: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|[smh]|)/g)];
  const total = parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (UNIT.get(unit) ?? 0), 0);
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text || total <= 0) {
    throw new RangeError(`${variable}: expected a time such as 60 or 1m30s, got "${text}"`);
  }
  return total;
}

function port(variables: ReadonlyMap<string, string>, name: string): NonNullable<RunSpec['ports']> {
  const text = variables.get(`${name}_port`);
  if (text === undefined || text === '') return [];
  const number = Number(text);
  if (!/^\d{1,5}$/.test(text) || number < 1 || number > 65535) {
    throw new RangeError(`${name}_port: expected a port, got "${text}"`);
  }
  return [{ port: number, name: serviceName(name) }];
}

/** `RUNC_IMAGE_CONFIG` holds options of `oci-runtime-tool generate`. */
function configuration(conf: ShellFile, note: Note): RunSpec {
  for (const command of conf.commands) {
    const limit = command[0] === 'ulimit' && command[1] === '-n' ? command[2] : undefined;
    note(
      limit === undefined
        ? `the command "${command.join(' ')}" is left out`
        : `the limit of open files is chosen when running: trees run --ulimit nofile=${limit}`,
    );
  }
  const options = splitWords(conf.variables.get('RUNC_IMAGE_CONFIG') ?? '');
  const env: Record<string, string> = {};
  const volumes: NonNullable<RunSpec['volumes']> = [];
  const tmpfs: string[] = [];
  let exec: string[] | undefined;
  for (let at = 0; at < options.length; at++) {
    const [, option = options[at] ?? '', joined] = /^(--[a-z-]+)=(.*)$/s.exec(options[at] ?? '') ?? [];
    const value = joined ?? options[++at] ?? '';
    if (option === '--bind') {
      const [source = '', target = ''] = value.split(':');
      volumes.push({ path: target === '' ? source : target });
      note(
        `the directory ${source} of the host became a volume at ${target}; to use it: trees run -v ${source}:${target}`,
      );
    } else if (option === '--tmpfs') {
      tmpfs.push(value.split(':')[0] ?? value);
    } else if (option === '--env') {
      const [variable = '', content = ''] = value.split(/=(.*)/s);
      env[variable] = content;
    } else if (option === '--args') {
      exec = [...(exec ?? []), value];
    } else {
      note(`the option ${option} ${value} is left out`);
    }
  }
  return {
    ...(exec !== undefined && { exec }),
    ...(Object.keys(env).length > 0 && { env }),
    ...(volumes.length > 0 && { volumes }),
    ...(tmpfs.length > 0 && { tmpfs }),
  };
}
