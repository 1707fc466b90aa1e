import { type EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MQTTIntegrationEvents, NetworkStatus } from '../index.js';
import type { Extra } from './metrics.js';

/** What is followed: a service, or several that look like one. */
export interface Followed extends EventEmitter<MQTTIntegrationEvents> {
  getNetworkStatus(): NetworkStatus;
}

/** A running HTTP server for probes and metrics. */
export interface Observatory {
  /** Such as `http://127.0.0.1:8780`. */
  url: string;
  stop(): Promise<void>;
}

/**
 * Answers `/healthz` (the process is alive), `/readyz` (the broker link is up) and `/metrics`
 * (Prometheus). There is no authentication: nothing but figures and names of repositories is told, and it belongs on a
 * private address.
 */
export async function observe(
  service: Followed,
  { host = '127.0.0.1', port = 0 }: { host?: string; port?: number },
): Promise<Observatory> {
  // Loaded here, for no other command needs it.
  const { registry } = await import('./metrics.js');
  const extra: Extra = { throttled: 0, errors: 0 };
  service.on('peer-throttled', () => extra.throttled++);
  service.on('error', () => extra.errors++);
  const metrics = registry(
    () => service.getNetworkStatus(),
    () => extra,
  );
  const server = createServer((request, response) => {
    answer(request, response, async (path) => {
      switch (path) {
        case '/healthz':
          return { status: 200, type: 'text/plain', body: 'alive\n' };
        case '/readyz':
          return readiness(service);
        case '/metrics':
          return { status: 200, type: metrics.contentType, body: await metrics.metrics() };
        default:
          return undefined;
      }
    });
  });
  server.listen(port, host);
  // Rejects with the system's error, such as a port that is taken.
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const shown = host.includes(':') ? `[${host}]` : host;
  return { url: `http://${shown}:${address.port}`, stop: () => close(server) };
}

interface Answer {
  status: number;
  type: string;
  body: string;
}

function readiness(service: Followed): Answer {
  const { connected, lastError, repositories } = service.getNetworkStatus();
  const catchingUp = Object.values(repositories).reduce((sum, repository) => sum + repository.catchingUp, 0);
  const body = JSON.stringify({ ready: connected, connected, catchingUp, lastError });
  return { status: connected ? 200 : 503, type: 'application/json', body: `${body}\n` };
}

function answer(
  { method, url }: IncomingMessage,
  response: ServerResponse,
  find: (path: string) => Promise<Answer | undefined>,
): void {
  const send = ({ status, type, body }: Answer) => {
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(method === 'HEAD' ? undefined : body);
  };
  if (method !== 'GET' && method !== 'HEAD') {
    send({ status: 405, type: 'text/plain', body: 'GET only\n' });
    return;
  }
  find((url ?? '/').split('?', 1)[0] ?? '/').then(
    (found) => send(found ?? { status: 404, type: 'text/plain', body: 'there are /healthz, /readyz and /metrics\n' }),
    (error: Error) => send({ status: 500, type: 'text/plain', body: `${error.message}\n` }),
  );
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
