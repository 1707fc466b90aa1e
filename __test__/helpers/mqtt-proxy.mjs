import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { FrameSplitter, puback } from './mqtt-frames.mjs';
import { seededRandom } from './random.mjs';
import { scoped } from './teardown.mjs';

/**
 * A proxy before a broker that understands MQTT and does harm by rules. Each packet meets the rules in their order; the
 * first one that fits and whose chance comes up decides:
 *
 * `{ to: 'client' | 'broker', type: 'PUBLISH', topic: /regular expression/, rate: 0.05, action, ms }`
 *
 * Whatever is absent fits everything; without a `rate` the rule always applies. Actions:
 * - `drop`: the packet is gone.
 * - `swallow`: a PUBLISH is gone, but acknowledged to its sender: a broker that loses messages.
 * - `duplicate`: it comes twice.
 * - `delay`: it comes up to `ms` later; what follows overtakes it, as on brokers of several nodes.
 * - `hold`: it waits, and whatever follows it on that way too, until `release()`.
 * - `cut`: both sides lose their connection.
 *
 * Decisions come from the seed, the number of the connection and the packet's place in it: the same seed does the same
 * harm to the same traffic.
 */
export async function mqttProxy(t, broker, { seed = 0, rules = [] } = {}) {
  const links = new Set();
  const counts = {};
  const proxy = { host: '127.0.0.1', rules, counts };
  const count = (action) => {
    counts[action] = (counts[action] ?? 0) + 1;
  };
  let connections = 0;
  const server = createServer((client) => {
    const upstream = connect(broker.port, broker.host);
    const link = new Link(client, upstream, () => links.delete(link));
    links.add(link);
    const number = ++connections;
    const ways = [
      ['broker', client, upstream],
      ['client', upstream, client],
    ];
    for (const [to, from, into] of ways) {
      const random = seededRandom(`${seed}/${number}/${to}`);
      link.forward(from, into, (packet) => {
        const rule = proxy.rules.find((rule) => fits(rule, to, packet) && random() < (rule.rate ?? 1));
        if (rule) count(rule.action);
        return rule && { ...rule, ms: (rule.ms ?? 0) * random() };
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.port = server.address().port;
  proxy.cut = () => {
    for (const link of links) link.end();
  };
  proxy.release = () => {
    for (const link of links) link.release();
  };
  scoped(t).defer(() => {
    server.close();
    proxy.cut();
  });
  return proxy;
}

function fits(rule, to, { type, topic }) {
  if (rule.to && rule.to !== to) return false;
  if (rule.type && rule.type !== type) return false;
  return !rule.topic || (topic !== undefined && rule.topic.test(topic));
}

/** One client's connection to the broker. */
class Link {
  #sockets;
  #ended = false;
  #onEnd;
  #timers = new Set();
  /** What waits for `release()`, for each socket that it is going to. */
  #held = new Map();

  constructor(client, upstream, onEnd) {
    this.#sockets = [client, upstream];
    this.#onEnd = onEnd;
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      socket.on('error', () => this.end()).on('close', () => this.end());
    }
  }

  /** Passes packets on; `decide(packet)` gives a rule that applies, or undefined. */
  forward(from, into, decide) {
    const frames = new FrameSplitter();
    from.on('data', (chunk) => {
      try {
        for (const packet of frames.push(chunk)) this.#act(packet, from, into, decide(packet));
      } catch {
        this.end();
      }
    });
  }

  #act(packet, from, into, rule) {
    switch (this.#held.has(into) ? 'hold' : rule?.action) {
      case 'drop':
        return;
      case 'swallow':
        if (packet.qos > 0) this.#write(from, puback(packet.id));
        return;
      case 'duplicate':
        this.#write(into, packet.bytes);
        this.#write(into, packet.bytes);
        return;
      case 'delay':
        this.#later(rule.ms, () => this.#write(into, packet.bytes));
        return;
      case 'hold':
        this.#held.set(into, [...(this.#held.get(into) ?? []), packet.bytes]);
        return;
      case 'cut':
        this.end();
        return;
      default:
        this.#write(into, packet.bytes);
    }
  }

  release() {
    for (const [into, packets] of this.#held) for (const bytes of packets) this.#write(into, bytes);
    this.#held.clear();
  }

  end() {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
    this.#onEnd();
  }

  #later(ms, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
  }

  #write(socket, bytes) {
    if (!this.#ended) socket.write(bytes);
  }
}
