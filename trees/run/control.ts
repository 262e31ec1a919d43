import { closeSync, constants, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import { CONTROL_SOCKET, type Instance, notRunning } from './instances.js';

/**
 * Client of an instance's control socket, which its launcher or monitor serves: one request a connection, a line
 * `VERB key=value …`; the answer is lines of `key=value …` and then `ok` or `error MESSAGE`. Spaces, `%`, `=` and line
 * ends in values are percent-encoded.
 */

/** `sun_path` of unix(7) without the NUL that ends it. */
const MAX_SOCKET_PATH = 107;
const MAX_REPLY = 1 << 20;

export type ControlValues = Readonly<Record<string, string | number | undefined>>;

export interface ControlOptions {
  /** Milliseconds without an answer; default 10,000. Infinity: as long as the launcher lives. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ControlReply {
  /** Every line before the last one. */
  readonly lines: ReadonlyArray<Readonly<Record<string, string>>>;
  /** False: the launcher ended before it was done answering, as it does when the container ends. */
  readonly complete: boolean;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** The answer to a request that came too late to be read, see launcher/instance-end.c. */
const TOO_LATE = 'error the instance has ended';

/**
 * Asks the launcher of an instance.
 * @param request what is asked: a verb, and words of its own for verbs that are passed on (`service status web`)
 * @throws TreesError INSTANCE_NOT_RUNNING when nobody serves the socket any more, CONTROL_FAILED when it refuses or is silent
 */
export async function askInstance(
  instance: Pick<Instance, 'name' | 'runDir'>,
  request: string,
  values: ControlValues = {},
  options: ControlOptions = {},
): Promise<ControlReply> {
  const { name, runDir } = instance;
  const verb = request.split(' ', 1)[0] ?? request;
  const line = [request, ...Object.entries(values).flatMap(encodePair)].join(' ');
  let answer: string;
  try {
    answer = await exchange(join(runDir, CONTROL_SOCKET), `${line}\n`, options);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ECONNREFUSED')) throw notRunning(name, verb);
    if (options.signal?.aborted === true || error instanceof TreesError) throw error;
    throw failed(name, verb, reasonOf(error), error);
  }
  const lines = answer.split('\n').filter((text) => text !== '');
  const last = lines.at(-1) ?? '';
  if (last === TOO_LATE) throw notRunning(name, verb);
  if (last.startsWith('error')) throw failed(name, verb, last.slice('error '.length) || 'it does not say why');
  const complete = last === 'ok';
  return { lines: (complete ? lines.slice(0, -1) : lines).map(decodePairs), complete };
}

function failed(name: string, verb: string, why: string, cause?: unknown): TreesError {
  return new TreesError('CONTROL_FAILED', `cannot ${verb} ${name}: ${why}`, { cause, details: { name } });
}

async function exchange(path: string, request: string, options: ControlOptions): Promise<string> {
  const timeout = options.timeout ?? DEFAULT_TIMEOUT_MS;
  const { socket, release } = open(path);
  try {
    return await new Promise<string>((resolve, reject) => {
      let answer = '';
      socket.setEncoding('utf8');
      if (Number.isFinite(timeout)) {
        socket.setTimeout(Math.max(1, timeout), () =>
          reject(new Error(`its launcher has not answered for ${timeout / 1000} s`)),
        );
      }
      const abort = (): void => reject(options.signal?.reason);
      options.signal?.addEventListener('abort', abort, { once: true });
      if (options.signal?.aborted === true) abort();
      socket.on('connect', () => socket.write(request));
      socket.on('data', (chunk: string) => {
        answer += chunk;
        if (answer.length > MAX_REPLY) reject(new Error('its launcher answers without end'));
      });
      // A launcher that ends closes with what was not read yet lost: that is an end, too.
      socket.on('error', (error) => (isErrno(error, 'ECONNRESET', 'EPIPE') ? resolve(answer) : reject(error)));
      socket.on('close', () => {
        options.signal?.removeEventListener('abort', abort);
        resolve(answer);
      });
    });
  } finally {
    socket.destroy();
    release();
  }
}

/** Paths of sockets are short; a longer one is reached through a descriptor of its directory. */
function open(path: string): { socket: Socket; release: () => void } {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return { socket: connect(path), release: () => undefined };
  const slash = path.lastIndexOf('/');
  const fd = openSync(path.slice(0, slash), constants.O_RDONLY | constants.O_DIRECTORY);
  return { socket: connect(`/proc/self/fd/${fd}/${path.slice(slash + 1)}`), release: () => closeSync(fd) };
}

function encodePair([key, value]: [string, string | number | undefined]): string[] {
  return value === undefined ? [] : [`${key}=${encodeWord(String(value))}`];
}

/** As the launcher decodes it: everything that would end a word or a line. */
export function encodeWord(value: string): string {
  return value.replaceAll(
    /[ %=\n\r\t]/g,
    (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );
}

export function decodeWord(value: string): string {
  return value.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

function decodePairs(line: string): Record<string, string> {
  const pairs = line.split(' ').flatMap((word): [string, string][] => {
    const equals = word.indexOf('=');
    return equals <= 0 ? [] : [[word.slice(0, equals), decodeWord(word.slice(equals + 1))]];
  });
  return Object.fromEntries(pairs);
}
