import { createServer, type IncomingMessage, request as sendRequest } from 'node:http';
import { connect } from 'node:net';
import { listen } from './listen.js';

/** A forward proxy on the loopback interface: GET with a whole URL for http, CONNECT for https. */
export interface ForwardProxy extends AsyncDisposable {
  readonly url: string;
  /** `GET http://…` and `CONNECT host:port`, as they arrived. */
  readonly seen: string[];
}

/** @param options `password` is `user:password`, which is then asked for */
export async function startForwardProxy(options: { readonly password?: string } = {}): Promise<ForwardProxy> {
  const seen: string[] = [];
  const wanted =
    options.password === undefined ? undefined : `Basic ${Buffer.from(options.password).toString('base64')}`;
  const server = createServer((request: IncomingMessage, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (wanted !== undefined && request.headers['proxy-authorization'] !== wanted) {
      response.writeHead(407, { 'proxy-authenticate': 'Basic realm="proxy"' }).end();
      return;
    }
    const forward = sendRequest(request.url ?? '', { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    forward.on('error', () => response.destroy());
    request.pipe(forward);
  });
  server.on('connect', (request: IncomingMessage, client, head) => {
    seen.push(`CONNECT ${request.url}`);
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const target = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      target.write(head);
      target.pipe(client);
      client.pipe(target);
    });
    target.on('error', () => client.destroy());
    client.on('error', () => target.destroy());
  });
  const listening = await listen(server);
  return {
    url: listening.origin,
    seen,
    [Symbol.asyncDispose]: listening[Symbol.asyncDispose],
  };
}
