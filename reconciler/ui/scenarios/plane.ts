/**
 * A control plane with real agents on this machine, started from DEVNET_BIN and DEVNET_AGENT_BIN, that
 * follows a repository of its own. Knows how they are started, asked, killed and ended. Refuses to look
 * into their data, but for the first key.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

function binary(name: string): string {
  const path = process.env[name];
  if (!path || !existsSync(path)) {
    throw new Error(`${name} has to name a binary: build the workspace, then set it`);
  }
  return path;
}

/** A port that nobody has now. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Asks again until it is so. The pause is between two questions to another process, which tells no events. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  ms = 60_000,
): Promise<T> {
  const deadline = Date.now() + ms;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what} did not happen in time. ${last ?? ''}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface Running {
  child: ChildProcess;
  output: string[];
}

function start(path: string, args: string[], input?: string): Running {
  const child = spawn(path, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, HTTPS_PROXY: '' },
  });
  const running: Running = { child, output: [] };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data: Buffer) => running.output.push(data.toString()));
  }
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input ?? '');
  return running;
}

async function ended(running: Running): Promise<void> {
  if (running.child.exitCode !== null || running.child.signalCode !== null) return;
  await new Promise<void>((resolve) => running.child.once('exit', () => resolve()));
}

export interface Options {
  /** Files of the repository; without any, no source is followed. */
  files?: Record<string, string>;
  nodes?: string[];
  /** More flags of `devnet serve`. */
  flags?: string[];
}

export class Plane {
  readonly dir = mkdtempSync(join(tmpdir(), 'devnet-ui-'));
  readonly agents = new Map<string, Running>();
  private server: Running | undefined;
  private port = 0;
  private flags: string[] = [];

  static async start(options: Options = {}): Promise<Plane> {
    const plane = new Plane();
    try {
      plane.port = await freePort();
      plane.flags = options.flags ?? [];
      if (options.files) {
        await plane.git('init', '-q', '-b', 'main');
        await plane.commit('Declare the first services', options.files);
      }
      await plane.boot();
      for (const node of options.nodes ?? []) await plane.join(node);
      return plane;
    } catch (error) {
      await plane.end();
      throw error;
    }
  }

  get address(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get repo(): string {
    const path = join(this.dir, 'repo');
    mkdirSync(path, { recursive: true });
    return path;
  }

  private get data(): string {
    return join(this.dir, 'data');
  }

  get key(): string {
    return readFileSync(join(this.data, 'admin.key'), 'utf8').trim();
  }

  /** Everything that the control plane has said. */
  get log(): string {
    return this.server?.output.join('') ?? '';
  }

  /** Starts the server, again if need be, and waits until it answers. */
  async boot(): Promise<void> {
    const source = existsSync(join(this.dir, 'repo/.git')) ? ['--source', this.repo] : [];
    this.server = start(binary('DEVNET_BIN'), [
      'serve',
      '--cluster',
      'lab',
      '--listen',
      `127.0.0.1:${this.port}`,
      '--name',
      '127.0.0.1',
      '--data-dir',
      this.data,
      '--poll',
      '1s',
      '--heartbeat',
      '300ms',
      '--adoption-grace',
      '2s',
      ...source,
      ...this.flags,
    ]);
    await until('the start of the control plane', async () => {
      if (this.server?.child.exitCode !== null) throw new Error(this.log);
      await this.cli('status', '-json');
      return true;
    });
  }

  async stopServer(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.server) return;
    this.server.child.kill(signal);
    await ended(this.server);
    this.server = undefined;
  }

  async git(...args: string[]): Promise<string> {
    const who = [
      '-c',
      'user.name=ann',
      '-c',
      'user.email=ann@devnet.invalid',
      '-c',
      'commit.gpgsign=false',
    ];
    const { stdout } = await execute('git', [...who, ...args], { cwd: this.repo });
    return stdout.trim();
  }

  /** Writes files and commits them; the answer is the commit. */
  async commit(message: string, files: Record<string, string>): Promise<string> {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(this.repo, name)), { recursive: true });
      writeFileSync(join(this.repo, name), content);
    }
    await this.git('add', '-A');
    await this.git('commit', '-q', '--allow-empty', '-m', message);
    return this.git('rev-parse', 'HEAD');
  }

  async cli(...args: string[]): Promise<string> {
    const env = { ...process.env, DEVNET_CONFIG: join(this.data, 'client.yaml') };
    const { stdout } = await execute(binary('DEVNET_BIN'), args, {
      cwd: this.repo,
      env,
      maxBuffer: 64 << 20,
    });
    return stdout;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.cli(...args, '-json')) as T;
  }

  /** Lets an agent of that name join and run. Each has an address of its own on the loopback. */
  async join(name: string): Promise<void> {
    const token = (await this.cli('node', 'token')).trim().split(/\s+/).pop() ?? '';
    this.run(name, ['--name', name], token);
    await until(`${name} being online`, async () => {
      const nodes = await this.json<{ name: string; status: string }[]>('get', 'nodes');
      return nodes.some((node) => node.name === name && node.status === 'online');
    });
  }

  /** Starts an agent with these arguments, as a person pastes them. */
  run(name: string, args: string[], token: string): void {
    const ip = `127.0.0.${10 + this.agents.size}`;
    const running = start(
      binary('DEVNET_AGENT_BIN'),
      [
        'up',
        '--server',
        this.address,
        '--ip',
        ip,
        '--token-file',
        '-',
        '--no-docker',
        '--stop-on-exit',
        '--data-dir',
        join(this.dir, 'agents', name),
        ...args,
      ],
      token,
    );
    this.agents.set(name, running);
  }

  /** Kills an agent as a power cut would, or ends it as a service manager does. */
  async stopAgent(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const agent = this.agents.get(name);
    agent?.child.kill(signal);
    if (agent) await ended(agent);
  }

  /** Starts an agent that has joined before. */
  async startAgent(name: string): Promise<void> {
    const before = [...this.agents.keys()].indexOf(name);
    const running = start(binary('DEVNET_AGENT_BIN'), [
      'run',
      '--ip',
      `127.0.0.${10 + before}`,
      '--no-docker',
      '--stop-on-exit',
      '--data-dir',
      join(this.dir, 'agents', name),
    ]);
    this.agents.set(name, running);
  }

  /** A key of that role. */
  async keyOf(role: string): Promise<string> {
    const said = await this.cli('apikey', 'create', `${role}-key`, '-role', role);
    return /dnk_\S+/.exec(said)?.[0] ?? '';
  }

  async settled(revision: string): Promise<void> {
    await until(`${revision} being applied`, async () => {
      const status = await this.json<{ source?: { applied?: string } }>('status');
      return status.source?.applied === revision;
    });
  }

  /** Ends everything that was started, and what that started. */
  async end(): Promise<void> {
    for (const agent of this.agents.values()) agent.child.kill('SIGTERM');
    await Promise.all([...this.agents.values()].map(ended));
    await this.stopServer();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
