// The stack that the tests run against: the real policy service and two real Envoys, started by `stack driven`, and the
// gateways' answers as a client gets them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const STACK = resolve(ROOT, process.env.STACK ?? 'target/debug/stack');
// A change reaches a gateway usually at once, and within the interval of a refresh and a second in any case.
const SEEN_WITHIN_MS = 6_000;
// Two Envoys compile the module, and the demo's requests are reported.
const STARTED_WITHIN_MS = 120_000;

export const ORDERS = '/orders/1.0/list';
export const PAYMENTS = '/payments/1.0/list';
export const BLOCKED = { status: 401, code: '900907' };

// Starts a stack. `environment` adds variables of the policy service.
export async function start(name, environment = {}) {
  const env = { ...process.env, ...environment, STACK_NAME: `console-${name}` };
  const child = spawn(STACK, ['driven'], { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const late = pause(STARTED_WITHIN_MS, null, { ref: false }).then(() => assert.fail('the stack says nothing'));
    const { value, done } = await Promise.race([lines.next(), late]);
    assert.ok(!done, 'the stack ended');
    return value;
  };
  const facts = JSON.parse(await next());
  return Object.assign(new Stack(), facts, { child, next });
}

class Stack {
  // `restart`, `stop` or `start`, see tests/e2e/src/driven.rs.
  async command(line) {
    this.child.stdin.write(`${line}\n`);
    const [done, gateway] = (await this.next()).split(' ');
    assert.equal(done, 'done');
    if (gateway) this.gateways[1] = `http://${gateway}`;
  }

  async end() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin.end();
    await ended;
  }

  // A request to /v1 with a token, the administrator's by default.
  async v1(method, path, body, token = this.tokens.administrator) {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(this.policy + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text };
  }

  // The same; it must succeed.
  async make(path, body, token) {
    const answer = await this.v1('POST', path, body, token);
    assert.ok(answer.status < 300, `${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async token(role, subject) {
    return (await this.make('/v1/tokens', { role, subject })).token;
  }

  // What each gateway answers now, asked once.
  async answers(path, key) {
    return Promise.all(this.gateways.map(async (gateway) => {
      const response = await fetch(gateway + path, { headers: key ? { 'x-api-key': key } : {} });
      const body = await response.json().catch(() => ({}));
      return response.status === 200 ? { status: 200, endpoint: body.endpoint } : { status: response.status, code: body.code };
    }));
  }

  // Both gateways answer so now. For the moment after a complete receipt, which leaves no time to wait.
  async answerNow(path, key, expected) {
    for (const answer of await this.answers(path, key)) assert.deepEqual(answer, expected, `${path} now`);
  }

  // Both gateways answer so within the time that a change may take. Returns the milliseconds.
  async answer(path, key, expected) {
    const begin = Date.now();
    for (;;) {
      const answers = await this.answers(path, key);
      try {
        for (const answer of answers) assert.deepEqual(answer, expected, path);
        return Date.now() - begin;
      } catch (error) {
        if (Date.now() - begin > SEEN_WITHIN_MS) throw error;
        await pause(50);
      }
    }
  }
}

export const reaches = (endpoint) => ({ status: 200, endpoint });

// Prints a figure for the report.
export function report(text) {
  console.log(`# ${text}`);
}
