// The server of automerge-repo's documentation, without storage: `automerge-server.mjs <port>`.
import { Repo } from '@automerge/automerge-repo';
import { WebSocketServerAdapter } from '@automerge/automerge-repo-network-websocket';
import { WebSocketServer } from 'ws';

const socket = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]) });
new Repo({ network: [new WebSocketServerAdapter(socket)], sharePolicy: async () => false });
