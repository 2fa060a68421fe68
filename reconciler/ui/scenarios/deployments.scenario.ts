/** A deployment while it runs. */
import { afterEach, expect } from 'vitest';
import { Plane, until } from './plane';
import { loginAt, scenario } from './scenario';
import { cluster, service } from './services';

/** It serves only once the file is there, so that a health wait ends when the scenario says so. */
const SLOW = `
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        well = os.path.exists(sys.argv[1])
        self.send_response(200 if well else 503); self.end_headers()
    def log_message(self, *_):
        pass
print("waiting for", sys.argv[1], flush=True)
http.server.ThreadingHTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Answer).serve_forever()
`;

let plane: Plane | undefined;
afterEach(() => plane?.end());

async function begin(port: number): Promise<{ plane: Plane; gate: string; id: string }> {
  const started = await Plane.start({ files: cluster(), nodes: ['n1', 'n2'] });
  const gate = `${started.dir}/gate`;
  const slow = `service "slow" {
    process "python3" "-u" "slow.py" "${gate}"
    file "slow.py" source="slow.py"
    port ${port}
    env PORT="${port}" BIND="{{ node.ip }}"
    resources cpu=0.01 memory="16MiB"
    health http="/" port=${port} interval="300ms" retries=400 start-period="120s"
    update timeout="3m"
}
`;
  const after = service({ name: 'after', port: port + 1, more: '    depends-on "slow"\n' });
  await started.commit('Begin slowly', { ...cluster(slow, after), 'slow.py': SLOW });
  const id = await until('the deployment', async () => {
    const status = await started.json<{ deployment?: { id: string; state: string } }>('status');
    return status.deployment?.state === 'running' ? status.deployment.id : undefined;
  });
  return { plane: started, gate, id };
}

scenario(14, 'a deployment live: what runs, what is blocked by what, and its end', async (it) => {
  const { page } = it;
  const begun = await begin(21140);
  plane = begun.plane;
  await loginAt(page, plane.address, plane.key, `/deployments/${begun.id}`);
  await page.locator('[data-step="slow[0]/await-healthy"][data-state="running"]').waitFor();
  const blocked = page.getByText(/blocked by slow\[0\]\/await-healthy/);
  await blocked.waitFor();
  await it.look('deployment-running');
  await page.locator('[data-step="after[0]/start"]').click();
  await page.getByText(/Waits for/).waitFor();
  await plane.cli('version');
  const { writeFileSync } = await import('node:fs');
  writeFileSync(begun.gate, '');
  await page.locator('[data-step="after[0]/await-healthy"][data-state="succeeded"]').waitFor();
  await page.locator('h1 ~ [data-mark="completed"]').waitFor();
  await it.look('deployment-done');
});

scenario(15, 'cancel begins nothing new', async (it) => {
  const { page } = it;
  const begun = await begin(21150);
  plane = begun.plane;
  await loginAt(page, plane.address, plane.key, `/deployments/${begun.id}`);
  await page.locator('[data-step="slow[0]/await-healthy"][data-state="running"]').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.locator('h1 ~ [data-mark="cancelled"]').waitFor();
  await page.locator('[data-step="after[0]/start"][data-state="not-run"]').waitFor();
  expect(await page.locator('[data-step="after[0]/start"][data-state="succeeded"]').count()).toBe(
    0,
  );
  await it.look('deployment-cancelled');
});

scenario(16, 'a reload and a second tab show the same in the middle of it', async (it) => {
  const { page, context } = it;
  const begun = await begin(21160);
  plane = begun.plane;
  await loginAt(page, plane.address, plane.key, `/deployments/${begun.id}`);
  const states = (one = page) =>
    one
      .locator('[data-step]')
      .evaluateAll((steps) =>
        steps.map((step) => `${step.getAttribute('data-step')} ${step.getAttribute('data-state')}`),
      );
  await page.locator('[data-step="slow[0]/await-healthy"][data-state="running"]').waitFor();
  const before = await states();
  await page.reload();
  await page.locator('[data-step="slow[0]/await-healthy"][data-state="running"]').waitFor();
  expect(await states()).toEqual(before);
  const second = await context.newPage();
  await second.goto(page.url());
  await second.locator('[data-step="slow[0]/await-healthy"][data-state="running"]').waitFor();
  expect(await states(second)).toEqual(before);
  await it.look('deployment-second-tab', second);
});
