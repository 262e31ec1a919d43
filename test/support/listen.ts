import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';

/** A server that listens on a free port of the loopback interface. Disposing of it ends its connections too. */
export interface Listening extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, or `https:`. */
  readonly origin: string;
}

export async function listen(server: Server | TlsServer): Promise<Listening> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('Expected a TCP address');
  return {
    origin: `${server instanceof TlsServer ? 'https' : 'http'}://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      // What a client has upgraded (CONNECT) is no connection of the server any more.
      server.unref();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
